//! kubectl against both servers: the same commands, the same words.
//!
//! What may differ (uids, times, versions, addresses) is replaced before the two are compared.

use std::path::Path;
use std::process::Command;
use std::thread;

use regex::Regex;

use crate::support::control_plane::User;
use crate::support::programs::program;
use crate::support::server::Server;

/// One command a line; `$ns` is the namespace, `$files` the folder with `FILES`. Lines that start with `!` must fail, the others succeed.
const COMMANDS: &str = include_str!("kubectl/commands.txt");
const FILES: &[(&str, &str)] =
    &[("shop.yaml", include_str!("kubectl/shop.yaml")), ("crd.yaml", include_str!("kubectl/crd.yaml"))];

/// One command with what it printed.
type Said = (String, String);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_says_the_same_of_both_servers() {
    let servers = [Server::real(), Server::sandbox().await];
    let namespaces = [servers[0].namespace().await, servers[1].namespace().await];
    let [real, sandbox] = thread::scope(|scope| {
        let running = [0, 1].map(|index| {
            let (server, namespace) = (&servers[index], &namespaces[index]);
            scope.spawn(move || session(server, namespace))
        });
        running.map(|session| session.join().unwrap())
    });
    let mut differences = String::new();
    for ((command, real), (_, sandbox)) in real.iter().zip(&sandbox) {
        println!("$ {command}\n{real}");
        assert!(!real.contains("exit: "), "the command is wrong: {command}\n{real}");
        if real != sandbox {
            differences += &format!("$ {command}\n--- real\n{real}--- sandbox\n{sandbox}\n");
        }
    }
    assert!(differences.is_empty(), "the servers differ\n\n{differences}");
}

fn session(server: &Server, namespace: &str) -> Vec<Said> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in FILES {
        std::fs::write(folder.path().join(name), content.replace("$ns", namespace)).unwrap();
    }
    let kubeconfig = server.kubeconfig(&User::admin());
    let commands = COMMANDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    commands.map(|line| (line.to_owned(), run(line, namespace, folder.path(), &kubeconfig))).collect()
}

fn run(line: &str, namespace: &str, folder: &Path, kubeconfig: &Path) -> String {
    let files = folder.to_str().unwrap();
    let fails = line.starts_with('!');
    let command = line.trim_start_matches("! ").replace("$ns", namespace).replace("$files", files);
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("kubectl() {{ \"$KUBECTL\" \"$@\"; }}; {command}"))
        .env("KUBECTL", program("kubectl"))
        .env("KUBECONFIG", kubeconfig)
        .env("KUBECACHEDIR", folder.join("cache"))
        .env("EDITOR", "sed -i s/colour:.red/colour:\\ green/")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = if output.status.success() == fails { format!("exit: {}\n", output.status) } else { String::new() };
    alike(&text.replace(namespace, "$ns").replace(files, "$files")) + &code
}

/// Replaces what differs between any two runs.
fn alike(text: &str) -> String {
    let rules = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
        (r#"(resourceVersion|Resource Version)(: +)"?[0-9]+"?"#, "${1}${2}<version>"),
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "<time>"),
        (r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]+ [+-][0-9]{4}", "<time>"),
        (r"\b10\.[0-9]+\.[0-9]+\.[0-9]+\b", "<address>"),
        (r"(?m) +([0-9]+[smh])+( ago)?$", " <age>"),
        (r" +([0-9]+[smh])+ +", " <age> "),
        (r"(?m)[ \t]+$", ""),
        (r" {2,}", "  "),
    ];
    rules.iter().fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).expect("the patterns are fixed").replace_all(&text, *with).into_owned()
    })
}
