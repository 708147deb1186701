# Checks that need no build: formatting, clang-tidy, the scripts, the table of folders. `fmt` formats.

our_sources() {
  local folder
  for folder in src tests fabric lab cmake; do
    if [[ -d $folder ]]; then find "$folder" -name '*.cpp' -o -name '*.h'; fi
  done | LC_ALL=C sort
}

our_scripts() {
  printf '%s\n' run .ci/run scripts/*.sh
}

fmt_command() {
  ensure_packages packages_to_check
  our_sources | xargs clang-format-14 -i
  say "formatted"
}

check_format() {
  local log=build/log/format.log
  mkdir -p build/log
  if our_sources | xargs clang-format-14 --dry-run --Werror --ferror-limit=1 >"$log" 2>&1; then return; fi
  grep -E ': error: ' "$log" | sed 's/: error:.*//' | quote_lines
  fail "these files are not formatted (the first place in each)" "./run fmt"
}

# check_tidy: the files that changed since they last passed.
check_tidy() {
  local log=build/log/tidy.log
  # gcc's precompiled headers are nothing that clang-tidy can read.
  configure build/lint --preset release -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON
  # Nothing is built there, so nothing else would look for new files.
  ninja -C build/lint build.ninja >build/log/configure-lint.log 2>&1 || fail "the list of files to check cannot be made" "./run clean"
  mkdir -p build/log
  : >"$log"
  if run_logged tidy "$log" python3 scripts/tidy.py build/lint build/tidy; then
    tail -n 1 "$log" >&2
    return
  fi
  grep -v '^\[[0-9]*/[0-9]*\]' "$log" | head -n 120 | quote_lines
  fail "clang-tidy has findings (log: $log)" "cure what is quoted above; what each check is about: .clang-tidy"
}

check_scripts() {
  local script
  while IFS= read -r script; do bash -n "$script"; done < <(our_scripts)
  # The files share their variables: that one is unknown, or unused, in one of them says nothing.
  if have shellcheck; then our_scripts | xargs shellcheck --shell=bash --exclude=SC2034,SC2154; fi
  python3 tests/door_test.py
}

check_layers() { python3 tests/layers_test.py; }

lint_command() {
  ensure_packages packages_to_build packages_to_check
  ensure_engine
  check_format
  check_scripts
  check_layers
  check_tidy
  say "nothing to complain about"
}
