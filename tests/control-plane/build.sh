#!/usr/bin/env bash
# Builds the real programs that the tests run, each from its Go modules and each once, and prints the folder that holds them.
# The cache lies outside the tree and is named by version; KUBEBUILDER_ASSETS brings one's own Kubernetes programs instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kubernetes=1.35.4 sops=3.13.3 age=1.3.2 helm=3.20.2
bin=${OSIER_TEST_PROGRAMS:-${XDG_CACHE_HOME:-$HOME/.cache}/osier/programs/k8s-$kubernetes-sops-$sops-age-$age-helm-$helm}
mkdir -p "$bin"

# build NAME PACKAGE FOLDER [LDFLAGS]: a half-written program never takes the final name
build() {
  [ -x "$bin/$1" ] && return
  echo "building $1 from its Go modules (once)" >&2
  (cd "$here/$3" && go build -trimpath -ldflags "-s -w ${4:-}" -o "$bin/.$1.$$" "$2" && mv "$bin/.$1.$$" "$bin/$1")
}

version="-X k8s.io/component-base/version.gitVersion=v$kubernetes -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35"
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in etcd kube-apiserver kube-controller-manager kubectl; do ln -sf "$KUBEBUILDER_ASSETS/$program" "$bin/$program"; done
else
  for program in kube-apiserver kube-controller-manager kubectl; do build $program k8s.io/kubernetes/cmd/$program . "$version"; done
  build etcd . etcd
fi
build sops github.com/getsops/sops/v3/cmd/sops sops
build age filippo.io/age/cmd/age age
build age-keygen filippo.io/age/cmd/age-keygen age
kinds="" # helm's own release says so, too: which Kubernetes it renders for
for place in chartutil lint/rules; do
  kinds="$kinds -X helm.sh/helm/v3/pkg/$place.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$place.k8sVersionMinor=35"
done
build helm helm.sh/helm/v3/cmd/helm helm "-X helm.sh/helm/v3/internal/version.version=v$helm$kinds"
echo "$bin"
