#!/usr/bin/env bash
# mkdocs 1.6.1: `mkdocs build --strict --quiet` does not fail where `mkdocs build --strict` does.
#
# A guess: --strict makes warnings fatal, --quiet only says how much is printed, so together they build in silence and
# still end with an error for a page that the navigation names and that does not exist.
# Seen: strict mode counts the warnings that pass its log handler; --quiet sets the level of the logger above warnings,
# so none is counted and the build ends with 0. CI that asks for both checks nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mkdocs==1.6.1 2>/dev/null
mkdir -p "$work/site/docs"
printf 'site_name: Example\nnav:\n  - Home: index.md\n  - Missing: missing.md\n' > "$work/site/mkdocs.yml"
printf '# Home\n' > "$work/site/docs/index.md"
cd "$work/site"
status() { "$work/venv/bin/mkdocs" build "$@" > "$work/log" 2>&1 && echo 0 || echo $?; }
strict=$(status --strict)
quiet=$(status --strict --quiet)
echo "mkdocs 1.6.1: --strict ends with $strict, --strict --quiet with $quiet"
[ "$strict" = 1 ] && [ "$quiet" = 0 ]
