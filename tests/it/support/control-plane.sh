#!/bin/sh
# control-plane.sh PROGRAMS FOLDER PORT ASKED: a real control plane in FOLDER, with the keys that lie there, for as long as standard input is open.
#
# The other end of that pipe is held by the process that runs the tests. However that process dies, the pipe closes,
# and this script stops the servers and removes the folder: nothing is left behind but the file ASKED. It has a line for all that somebody
# asked for with osier, of whatever he called himself: user (digits are `0`), verb, resource with its subresource, group.
# What arrives is an order a line: `controllers` once the API server answers; `stop` (as SIGKILL does) and `start` of API server and etcd;
# `keep` and `restore` between them, of what etcd has.
set -u
programs=$1 folder=$2 port=$3 asked=$4
cd "$folder" || exit 1

# Sockets instead of ports: only the API server's port can collide with another test process.
start() {
  "$programs/etcd" --data-dir=etcd --unsafe-no-fsync \
    --listen-client-urls=unix://clients:0 --advertise-client-urls=unix://clients:0 \
    --listen-peer-urls=unix://peers:0 --initial-advertise-peer-urls=unix://peers:0 --initial-cluster=default=unix://peers:0 \
    </dev/null >>etcd.log 2>&1 &
  servers=$!

  "$programs/kube-apiserver" --etcd-servers=unix://clients:0 --bind-address=127.0.0.1 --secure-port="$port" \
    --tls-cert-file=server.crt --tls-private-key-file=server.key --client-ca-file=ca.crt \
    --service-account-key-file=accounts.pub --service-account-signing-key-file=accounts.key \
    --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.0.0.0/24 \
    --authorization-mode=RBAC --audit-policy-file=audit-policy.json --audit-log-path=audit.log --audit-log-maxsize=4000 \
    --max-requests-inflight=4000 --max-mutating-requests-inflight=2000 \
    </dev/null >>kube-apiserver.log 2>&1 &
  servers="$servers $!"
}

# shellcheck disable=SC2086 # a list of process ids
stop() {
  kill -9 $servers 2>/dev/null
  wait $servers
}

summary() {
  awk 'function field(name) { return match($0, "\"" name "\":\"[^\"]*\"") ? substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 5) : "" }
    /"stage":"RequestReceived"/ && /"userAgent":"osier\// && /"objectRef":/ {
      user = field("username"); gsub(/[0-9]+/, "0", user)
      subresource = field("subresource")
      line = user "\t" field("verb") "\t" field("resource") (subresource == "" ? "" : "/" subresource) "\t" field("apiGroup")
      if (!seen[line]++) print line
    }' audit.log
}

: >"$asked.open"
start
controllers=
while read -r order; do
  case $order in
    controllers)
      "$programs/kube-controller-manager" --kubeconfig=controllers.kubeconfig --secure-port=0 \
        --controllers=namespace-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,garbage-collector-controller,resourcequota-controller,deployment-controller,replicaset-controller,statefulset-controller \
        --root-ca-file=ca.crt --service-account-private-key-file=accounts.key --use-service-account-credentials --leader-elect=false \
        </dev/null >kube-controller-manager.log 2>&1 &
      controllers=$!
      ;;
    stop | start) "$order" ;;
    keep) rm -rf kept && cp -R etcd kept ;;
    restore) rm -rf etcd && cp -R kept etcd ;;
  esac
done

# shellcheck disable=SC2086 # a list of process ids, or nothing
kill -9 $controllers 2>/dev/null
stop
summary >"$asked" && rm "$asked.open"
cd / && rm -rf "$folder"
