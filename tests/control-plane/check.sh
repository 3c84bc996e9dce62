#!/bin/sh
# check.sh demo|test: are the tools there? Names everything that is missing, each with the line that installs it on Debian.
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
missing=0

need() { # need WHAT HINT COMMAND...: the command tells whether it is there
  what=$1 hint=$2
  shift 2
  "$@" >/dev/null 2>&1 && return
  [ $missing = 0 ] && echo "missing, to run \`make $goal\`:" >&2
  printf '  %s\n      %s\n' "$what" "$hint" >&2
  missing=1
}

# Asked where the newest Go is needed: a Go that may fetch a newer one by itself is enough.
go_is_new_enough() {
  version=$(cd "$here/sops" && go env GOVERSION) || return 1
  rest=${version#go1.}
  [ "${rest%%.*}" -ge 25 ]
}

# Outside the path of most people.
has_sshd() {
  for place in /usr/sbin /usr/local/sbin /usr/bin /opt/homebrew/sbin; do [ -x $place/sshd ] && return; done
  return 1
}

goal=${1:-test}
toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
rustup="curl -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain $toolchain --component rustfmt,clippy"
need "a C compiler" "apt-get install build-essential" cc --version
need "Rust $toolchain" "$rustup" cargo --version
need "pkg-config" "apt-get install pkg-config" pkg-config --version
need "the headers of OpenSSL" "apt-get install libssl-dev" pkg-config --exists openssl
if [ "$goal" = test ]; then
  need "rustfmt" "rustup component add rustfmt" cargo fmt --version
  need "clippy" "rustup component add clippy" cargo clippy --version
  need "git" "apt-get install git" git --version
  need "sshd" "apt-get install openssh-server" has_sshd
  need "ssh-keygen" "apt-get install openssh-client" command -v ssh-keygen
  need "bash" "apt-get install bash" bash --version
  need "Go 1.25.8 or newer" "apt-get install golang-go && go env -w GOTOOLCHAIN=auto (Debian 13: its Go fetches the newer one); else https://go.dev/doc/install" go_is_new_enough
fi
exit $missing
