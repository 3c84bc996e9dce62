//! Where a branch environment can be reached, and what its addresses lead to.

use crate::desired::isolation::{Found, items};
use crate::desired::value::Value;
use crate::model::object::ObjectId;

/// The API group of Gateways and of what hangs on them.
const GATEWAYS: &str = "gateway.networking.k8s.io";
/// Routes that take a whole port of what they hang on.
const WITHOUT_HOST: [&str; 2] = ["TCPRoute", "UDPRoute"];

/// True for every kind of route of the Gateway API, those included that a Repository has to grant.
pub(super) fn is_route(object: &ObjectId) -> bool {
    object.kind.group == GATEWAYS && object.kind.kind.ends_with("Route")
}

impl Found<'_> {
    pub(super) fn ingress(&mut self, body: &Value) {
        let classes = &self.rules.allow.ingress_classes;
        let class = body.get(&["spec", "ingressClassName"]);
        if class.is_some_and(|class| !class.text().is_some_and(|class| classes.iter().any(|known| known == class))) {
            let hint = "remove it, or let the entry of `branches` list it in `allow: {ingressClasses: […]}`";
            self.add("spec.ingressClassName", "this class of Ingresses is not for branch environments", hint);
        }
        if body.get(&["spec", "defaultBackend"]).is_some() {
            let hint = "write rules with a `host`";
            self.add("spec.defaultBackend", "a default backend takes what others have no rule for", hint);
        }
        for rule in items(body, &["spec", "rules"]) {
            self.host(rule.get(&["host"]), "spec.rules");
        }
        for tls in items(body, &["spec", "tls"]) {
            self.hosts(tls.get(&["hosts"]), "spec.tls");
        }
    }

    pub(super) fn route(&mut self, body: &Value, object: &ObjectId) {
        if !WITHOUT_HOST.contains(&object.kind.kind.as_str()) {
            self.hosts(body.get(&["spec", "hostnames"]), "spec.hostnames");
        }
        for parent in items(body, &["spec", "parentRefs"]) {
            self.parent(parent, object);
        }
        if body.get(&["spec", "useDefaultGateways"]).is_some_and(|scope| scope.text() != Some("None")) {
            let message = "`useDefaultGateways` is not for branch environments";
            self.add("spec.useDefaultGateways", message, "name a Gateway in `parentRefs`");
        }
        if let Some(rules) = body.get(&["spec", "rules"]) {
            self.backends(rules);
        }
    }

    /// What a route hangs on: something of its own namespace, or a Gateway that is granted. Without a host it would take all of what that is
    /// for, so no grant is for such a route.
    fn parent(&mut self, parent: &Value, route: &ObjectId) {
        let own = route.namespace.as_str();
        let text = |field: &str, usual| parent.get(&[field]).map_or(usual, |value| value.text().unwrap_or_default());
        let namespace = text("namespace", own);
        let (kind, name) = (text("kind", "Gateway"), format!("{namespace}/{}", text("name", "")));
        let is_gateway = kind == "Gateway" && text("group", GATEWAYS) == GATEWAYS;
        let has_host = !WITHOUT_HOST.contains(&route.kind.kind.as_str());
        if namespace == own || is_gateway && has_host && self.rules.allow.gateways.contains(&name) {
            return;
        }
        let (kind, name) = (kind.escape_debug(), name.escape_debug());
        let hint = match (is_gateway, has_host) {
            (true, true) => format!("remove it, or let the entry of `branches` say `allow: {{gateways: [{name}]}}`"),
            (true, false) => format!("remove it: a {} has no host, and takes the ports of others", route.kind.kind),
            (false, _) => "remove it: of other namespaces, only Gateways can be granted".to_owned(),
        };
        self.add("spec.parentRefs", format!("{kind} `{name}` is not for branch environments"), hint);
    }

    /// What requests go to, by a rule or by a filter of one: Services of the environment. Whatever else a filter refers to is of its
    /// namespace, and of a kind that the Repository allows.
    fn backends(&mut self, value: &Value) {
        match value {
            Value::Map(map) => {
                for (key, value) in map {
                    let message = match (key.as_str(), value.text()) {
                        ("namespace", _) => "a backend in another namespace",
                        ("kind", kind) if kind != Some("Service") => "a backend that is no Service",
                        ("group", group) if group != Some("") => "a backend that is no Service",
                        ("extensionRef", _) => continue,
                        _ => {
                            self.backends(value);
                            continue;
                        }
                    };
                    self.add("spec.rules", message, "route to Services of the environment only");
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.backends(item)),
            _ => {}
        }
    }

    fn hosts(&mut self, hosts: Option<&Value>, path: &str) {
        match hosts {
            Some(Value::List(hosts)) if !hosts.is_empty() => hosts.iter().for_each(|host| self.host(Some(host), path)),
            _ => self.host(None, path),
        }
    }

    /// The environment's own host, or one below it.
    fn host(&mut self, host: Option<&Value>, path: &str) {
        let own = self.rules.host.as_deref();
        let host = host.map(|host| host.text().unwrap_or_default());
        let is_own =
            |host: &str, own: &str| host == own || host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'));
        if host.zip(own).is_some_and(|(host, own)| is_own(host, own)) {
            return;
        }
        let message = match host {
            None | Some("") => "without a host it takes the addresses of others".to_owned(),
            Some(host) => format!("host `{}` is not this environment's", host.escape_debug()),
        };
        let hint = match own {
            Some(own) => format!("use `{own}`, or a host below it"),
            None => "the entry of `branches` gives its environments no `url`".to_owned(),
        };
        self.add(path, message, hint);
    }
}
