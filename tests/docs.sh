#!/bin/sh
# SPDX-License-Identifier: ISC
# Whether the documents are true, as far as a program can tell:
# docs.sh BUILD_DIR
build=$(cd "${1:?usage: docs.sh BUILD_DIR}" && pwd) || exit 1
cd "$(dirname "$0")/.." || exit 1
umask 022
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Loops run behind pipes, in shells of their own: findings go to a file.
violation()
{
	echo "docs: $*" | tee -a "$work/found"
}

# The files in the tree, not those of a build below it.
files()
{
	find . -name "$1" ! -path './.git/*' ! -path './build*' |
	    sed 's,^\./,,' | sort
}

# page_has PAGE REGEX WHAT
page_has()
{
	grep -Eq -- "$2" "$1" || violation "$1: $3 is not there"
}

check_pages()
{
	command -v mandoc >/dev/null || {
		violation "mandoc is not installed"
		return
	}
	for page in $(files '*.[1-8]'); do
		mandoc -Tlint -W warning "$page" >"$work/lint" 2>&1 ||
		    violation "$(cat "$work/lint")"
		# Every page that is there is installed.
		grep -Fq "$page" cmake/install.cmake ||
		    violation "$page: cmake/install.cmake does not install it"
	done
}

# What a package cannot be without.
check_installed()
{
	for file in LICENSE CHANGES.md conf/acmed.yaml; do
		grep -Eq "^install\(FILES.* ?$file( |\)|$)" cmake/install.cmake ||
		    violation "cmake/install.cmake does not install $file"
	done
}

# Every option that the program tells of, and no other.
check_acmed()
{
	page=daemon/supervisor/acmed.8
	"$build/acmed" -h >"$work/help" || violation "acmed -h fails"
	sed -n 's/^  -\(.\)[ ,].*/\1/p' "$work/help" | sort >"$work/told"
	sed -n 's/^\.It Fl \(.\).*/\1/p' "$page" | sort >"$work/written"
	[ -s "$work/told" ] || violation "acmed -h: no options found"
	diff "$work/told" "$work/written" >"$work/diff" ||
	    violation "$page: other options than acmed -h:" \
		"$(grep '^[<>]' "$work/diff" | tr '\n' ' ')"
	flags=$(sed -n 's/^usage: acmed \[-\([A-Za-z]*\)\].*/\1/p' "$work/help")
	page_has "$page" "^\.Op Fl $flags\$" "\"[-$flags]\" in the synopsis"
}

# Every command, each with its options, and no other.
check_acmectl()
{
	page=daemon/ctl/acmectl.1
	"$build/acmectl" help >"$work/help" || violation "acmectl help fails"
	sed -n 's/^  \([a-z].*\)/\1/p' "$work/help" >"$work/commands"
	[ -s "$work/commands" ] || violation "acmectl help: no commands found"
	while read -r name options; do
		page_has "$page" "^\.It Cm $name( |\$)" "command $name"
		for option in $(echo "$options" | grep -oe '--[a-z]*'); do
			page_has "$page" \
			    "^\.It Cm $name .*Fl Fl ${option#--}( |\$)" \
			    "$option of $name"
		done
	done <"$work/commands"
	for name in $(sed -n 's/^\.It Cm \([a-z]*\).*/\1/p' "$page"); do
		grep -Eq "^$name( |\$)" "$work/commands" ||
		    violation "$page: there is no command $name"
	done
}

# What a reload command finds in its environment; what the socket answers.
check_interfaces()
{
	page=daemon/supervisor/acmed-hooks.7
	for name in $(grep -oE '"(ACMED|RENEWED)_[A-Z]+"' \
	    daemon/supervisor/hooks.c | tr -d '"' | sort -u); do
		page_has "$page" "^\.It Ev (.* )?$name( |\$)" "$name"
	done
	for name in $(sed -n 's/^\.It Ev //p' "$page" | tr -d ,); do
		grep -q "\"$name\"" daemon/supervisor/hooks.c ||
		    violation "$page: nothing sets $name"
	done
	page=daemon/ctl/acmectl.1
	grep -oE '"acmed_[a-z_]+"' daemon/engine/view_metrics.c | tr -d '"' |
	    sort >"$work/metrics"
	[ -s "$work/metrics" ] || violation "view_metrics.c: no metrics found"
	grep -oE '\bacmed_[a-z_]+' "$page" | sort |
	    diff "$work/metrics" - >"$work/diff" ||
	    violation "$page: other metrics than view_metrics.c:" \
		"$(grep '^[<>]' "$work/diff" | tr '\n' ' ')"
	for name in $(grep -oE '\bacmed_[a-z_]+' conf/acmed.rules.yml); do
		grep -qx "$name" "$work/metrics" ||
		    violation "conf/acmed.rules.yml: there is no $name"
	done
	sed -n 's|^	{ "\([A-Z]*\)", *"\(/v1/[^"]*\)".*|\1 \2|p' \
	    daemon/engine/control.c >"$work/routes"
	[ -s "$work/routes" ] || violation "control.c: no routes found"
	while read -r method path; do
		page_has "$page" "^\.It Li $method $path( |\$)" "$method $path"
	done <"$work/routes"
}

# Targets of links, without their anchors: FILE TARGET each.
links()
{
	files '*.md' | while read -r file; do
		grep -oE '\]\([^)]*\)' "$file" |
		    sed -e 's/^](//' -e 's/)$//' -e 's/#.*//' |
		    grep -vE '^([a-z]+:|$)' | sed "s,^,$file ,"
	done
}

check_links()
{
	links | while read -r file target; do
		[ -e "$(dirname "$file")/$target" ] ||
		    violation "$file: link to $target, which does not exist"
	done
}

# Words in backquotes: FILE WORD each.
words()
{
	for file in "$@"; do
		awk '/^```/ { code = !code; next } !code' "$file" | tr '\n' ' ' |
		    grep -oE '`[^`]+`' | tr -d '`' | sed "s,^,$file ,"
	done | sort -u
}

# A path, a file or a function that is named must be there.
check_names()
{
	files '*.[ch]' >"$work/sources"
	find daemon lib -name '*.[ch]' -exec cat {} + >"$work/source"
	words doc/*.md doc/adr/*.md | while read -r file word; do
		case $word in
		*'<'* | *'*'* | *' '*) ;;
		daemon/* | lib/* | tests/* | conf/* | cmake/* | systemd/*)
			[ -e "$word" ] || violation "$file: no $word"
			;;
		*/*) ;;
		*.[ch])
			grep -Eq "(^|/)$word\$" "$work/sources" ||
			    violation "$file: no file $word"
			;;
		*'()')
			grep -Eq "(^|define )${word%??}\(" "$work/source" ||
			    system_call "${word%??}" ||
			    violation "$file: no function $word"
			;;
		esac
	done
}

# What the documents say that a program cannot call.
system_call()
{
	case $1 in
	execve | socket | connect | bind | listen) ;;
	*) return 1 ;;
	esac
}

# Every folder is told of, and every source file in it.
check_folders()
{
	page=doc/ARCHITECTURE.md
	for dir in lib/*/ daemon/*/; do
		dir=${dir%/}
		awk -v dir="$dir" '/^- `/ { on = index($0, "- `" dir "`") == 1 }
		    /^$/ { on = 0 } on' $page >"$work/floor"
		[ -s "$work/floor" ] || violation "$page: nothing on $dir"
		for file in "$dir"/*.c; do
			grep -Fq "\`${file##*/}\`" "$work/floor" ||
			    violation "$page: nothing on $file"
		done
	done
}

# What README and the example say is a configuration is one.
check_config()
{
	awk -v to="$work/readme" '
	    /^```/ { if (on) on = 0; else if ($0 == "```yaml") { on = 1; n++ }
		next }
	    on { print > (to n ".yaml") }' README.md
	[ -e "$work/readme1.yaml" ] || violation "README.md: no configuration"
	cp conf/acmed.yaml "$work/example.yaml"
	for file in "$work"/*.yaml; do
		"$build/acmed" -t -c "$file" >"$work/out" 2>&1 ||
		    violation "${file##*/}: $(cat "$work/out")"
	done
}

# Numbered without a gap; context, decision and price in each.
check_adrs()
{
	n=0
	for file in doc/adr/*.md; do
		n=$((n + 1))
		case $file in
		doc/adr/$(printf %04d $n)-*) ;;
		*) violation "$file: number $n is expected" ;;
		esac
		for head in "# $n\. .*" '## Context' '## Decision' '## Price'; do
			page_has "$file" "^$head\$" "\"$head\""
		done
	done
}

check_width()
{
	for file in $(files '*.md'); do
		awk -v f="$file" 'length > 100 { print f ":" FNR }' "$file"
	done | while read -r where; do
		violation "$where: more than 100 columns"
	done
}

check_pages
check_installed
check_acmed
check_acmectl
check_interfaces
check_links
check_names
check_folders
check_config
check_adrs
check_width

[ ! -s "$work/found" ] || exit 1
echo "docs: clean"
