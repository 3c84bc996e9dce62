//! What Kubernetes accepts as a name, a label, a key.

/// A DNS label (RFC 1123): namespaces, environments, key classes.
pub fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS subdomain (RFC 1123): names of most objects.
pub fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(part)
}

/// The key of a label or annotation: a name of at most 63 characters, perhaps after `prefix/`.
pub fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && !name.is_empty() && is_label_value(name),
        None => !text.is_empty() && is_label_value(text),
    }
}

/// The value of a label: empty, or at most 63 letters, digits, `-`, `_`, `.` with a letter or digit at both ends.
pub fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = text.chars().next().into_iter().chain(text.chars().last()).all(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && text.chars().all(inner) && ends
}

/// A key of a ConfigMap or Secret.
pub fn is_config_key(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=253).contains(&text.len()) && text.chars().all(inner) && text != "." && !text.starts_with("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kubernetes_does() {
        assert!(is_label("shop-1") && !is_label("Shop") && !is_label("-a") && !is_label("a.b") && !is_label(""));
        assert!(is_subdomain("a.b-c") && !is_subdomain("a..b") && !is_subdomain("a_b"));
        assert!(
            is_qualified("app.kubernetes.io/name")
                && is_qualified("App_1")
                && !is_qualified("a/b/c")
                && !is_qualified("/a")
        );
        assert!(is_label_value("") && is_label_value("v1.2") && !is_label_value("v1.") && !is_label_value("a b"));
        assert!(is_config_key(".env") && !is_config_key("..") && !is_config_key("..x") && !is_config_key("a/b"));
    }
}
