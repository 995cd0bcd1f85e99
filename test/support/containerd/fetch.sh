#!/bin/sh
# Puts the containerd of another Debian release into a directory of its own, beside the installed one, and prints that
# directory. Usage: fetch.sh trixie|sid. Kept under ~/.cache/shoal-test, so it downloads once. Nothing is installed:
# the binaries are static enough to run on bookworm. It comes from the Debian mirror that this machine's own apt sources
# name first. Fails, with the reason on stderr, when none can be had.
set -eu
suite=$1
cache="${XDG_CACHE_HOME:-$HOME/.cache}/shoal-test/containerd"
target="$cache/$suite"

# Both forms: `URIs: <uri> …` of *.sources, and `deb [options] <uri> <suite> …` of *.list. Third parties have no …/debian.
own_mirror() {
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
    [ ! -f "$file" ] || sed -nE 's/^(URIs:|deb +(\[[^]]*\] +)?) *([^ ]+).*/\3/p' "$file"
  done | grep -m 1 '/debian/\{0,1\}$'
}

mkdir -p "$cache"
exec 9>"$cache/$suite.lock"
flock 9
if [ ! -x "$target/usr/bin/containerd" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  mkdir -p "$scratch/state/lists/partial" "$scratch/cache/archives/partial"
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(own_mirror) || { echo "the apt sources of this machine name no Debian mirror" >&2; exit 1; }
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$scratch/sources.list"
  own_lists() {
    apt-get -q -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$scratch/state" \
      -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 "$@"
  }
  {
    own_lists update
    cd "$scratch"
    own_lists download containerd
    dpkg-deb -x "$scratch"/containerd_*.deb "$scratch/unpacked"
  } >&2
  rm -rf "$target"
  mv "$scratch/unpacked" "$target"
fi
echo "$target"
