#!/bin/sh
# See LICENSE for copyright and license details.
#
# The tarball and Debian's packages, each twice: the bytes are the same, lintian
# finds no error, and what is in them fits.  From the top folder; needs
# dpkg-dev, debhelper and lintian.
set -eu
dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT

ok() { echo "ok    $*"; }
die() {
	echo "FAIL  $*"
	exit 1
}

version=$(sed -n 's/^VERSION = //p' config.mk)
name=fdproxy-$version

# tarball FOLDER: made there, of the folder we are in
tarball() {
	mkdir "$dir/$1"
	make dist >"$dir/log" 2>&1 || die "make dist: $(cat "$dir/log")"
	mv "$name.tar.gz" "$dir/$1"
}
export SOURCE_DATE_EPOCH=1000000000
tarball one
unset SOURCE_DATE_EPOCH
gzip -dc "$dir/one/$name.tar.gz" | (cd "$dir" && tar xf -)
test -z "$(find "$dir/$name" -newermt @1000000000)" ||
    die "the tarball has a time of its own"
# Elsewhere, later, and by somebody with another umask.
(
	cd "$dir/$name"
	umask 077
	find . -name '*.c' -exec touch {} +
	tarball two
)
cmp "$dir/one/$name.tar.gz" "$dir/two/$name.tar.gz" ||
    die "the tarball of a tarball is another"
ok "make dist: the same of itself, later and elsewhere"

[ "$(sed -n '1s/.*(\(.*\)).*/\1/p' contrib/debian/changelog)" = "$version" ] ||
    die "contrib/debian/changelog is of another version than config.mk"
grep -qx "PKG_VERSION:=$version" contrib/openwrt/Makefile ||
    die "contrib/openwrt/Makefile is of another version than config.mk"
for build in one two; do
	(
		mkdir "$dir/$build/in"
		cd "$dir/$build/in"
		gzip -dc "../$name.tar.gz" | tar xf -
		cd "$name"
		cp -R contrib/debian debian
		dpkg-buildpackage -b -us -uc
	) >"$dir/log" 2>&1 || die "dpkg-buildpackage: $(tail -n 30 "$dir/log")"
done
for deb in "$dir"/one/in/*.deb; do
	cmp "$deb" "$dir/two/in/${deb##*/}" || die "not the same twice"
done
ok "dpkg-buildpackage: the same twice"
lintian --fail-on error "$dir"/one/in/*.changes 2>&1 || die lintian
ok "lintian: no error"

for deb in "$dir"/one/in/*.deb; do
	dpkg-deb -x "$deb" "$dir/root"
done
cd "$dir/root"
usr/sbin/fdproxy -t -l 0 -f etc/fdproxy.conf >"$dir/log" 2>&1 ||
    die "its configuration: $(cat "$dir/log")"
ok "its configuration is good"
library=$(find usr -name libfdaccept.so)
grep -q "/${library%/*}" usr/bin/fdaccept || die "fdaccept looks elsewhere"
ok "fdaccept's library is where it looks: $library"
