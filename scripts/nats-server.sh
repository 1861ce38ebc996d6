#!/usr/bin/env bash
# Unpacks the newest nats-server that Debian has a package of into a folder, without installing it:
#   scripts/nats-server.sh DIR    then PATH=DIR/usr/sbin:$PATH, or NATS_SERVER=DIR/usr/sbin/nats-server
# It asks the mirror of the machine's own source list for the suite sid, since a release of Debian keeps the version of
# its day. Nothing of the machine's apt is changed.
set -euo pipefail
fail() {
  echo "no nats-server: $1" >&2
  exit 1
}
to=$(realpath -m "${1:?a folder}")
command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail 'this is no Debian'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || fail "there is no $keyring"
sources=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true)
mirror=$(grep -v '^ *#' <<<"$sources" | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1 | tr -d ' ' || true)
[ -n "$mirror" ] || fail 'no source list of apt names a mirror of Debian'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/lists/partial "$work"/cache/archives/partial "$to"
echo "deb [signed-by=$keyring] $mirror sid main" >"$work/sources"
options=(-o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get -qq "${options[@]}" update || fail "$mirror has no suite sid"
cd "$work"
apt-get -qq "${options[@]}" download nats-server || fail "$mirror did not hand it over"
dpkg -x nats-server_*.deb "$to"
"$to/usr/sbin/nats-server" --version
