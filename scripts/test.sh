# ./run test: all steps in turn, also after one failed, and a summary. The last line is "N passed, M failed".

test_command() {
  local quick='' pattern=''
  while (($# > 0)); do
    case $1 in
      --quick) quick=1 ;;
      -*) fail "./run test has no option '$1'" "./run test [--quick] [REGEX]" 2 ;;
      *) pattern=$1 ;;
    esac
    shift
  done
  exec 2>&1 # one stream, so that the summary is the last thing in it
  if [[ -n $quick ]]; then
    ensure_packages packages_to_build
  elif [[ -n $pattern ]]; then
    ensure_packages packages_to_build packages_to_lab
  else
    ensure_packages packages_to_build packages_to_check packages_to_lab
  fi
  ensure_engine
  mkdir -p build
  with_lock build/lock run_steps "$quick" "$pattern"
}

# run_steps QUICK PATTERN
run_steps() {
  results=$PWD/build/test-results
  : >"$results"
  if [[ -n $1 ]]; then
    step "unit tests, release" ctest_step release unit "$2"
  elif [[ -n $2 ]]; then
    step "tests, release" ctest_step release '' "$2"
    step "unit tests, asan + ubsan" ctest_step asan unit "$2"
    step "unit tests, tsan" ctest_step tsan unit "$2"
  else
    all_steps
  fi
  summarise
}

all_steps() {
  step "formatting" check_step check_format
  step "scripts" check_step check_scripts
  step "layers" check_step check_layers
  step "unit tests, release" ctest_step release unit ''
  step "end-to-end tests" ctest_step release e2e ''
  step "clang-tidy" check_step check_tidy
  step "unit tests, asan + ubsan" ctest_step asan unit ''
  step "unit tests, tsan" ctest_step tsan unit ''
}

# step NAME FUNCTION ARGUMENT...: runs it in a subshell of its own, so that `fail` in it ends this step only. The function
# appends "passed failed" to $counts; one that ends badly without having counted a failure counts as one.
step() {
  local name=$1 began=$SECONDS status passed failed counts=$results.counts
  shift
  say "== $name"
  : >"$counts"
  set +e
  (
    set -e
    "$@"
  )
  status=$?
  set -e
  if ((status == 130)); then exit 130; fi
  read -r passed failed < <(awk '{p += $1; f += $2} END {print p + 0, f + 0}' "$counts")
  if ((status != 0 && failed == 0)); then failed=1; fi
  say "== $name: $passed passed, $failed failed in $(duration $((SECONDS - began)))"
  say ""
  printf '%s\t%d\t%d\t%d\n' "$name" "$passed" "$failed" $((SECONDS - began)) >>"$results"
}

# check_step FUNCTION: counts as one test.
check_step() {
  "$1"
  printf '1 0\n' >>"$counts"
}

# ctest_step PRESET LABEL PATTERN: builds all of the preset, runs its tests and counts them.
ctest_step() {
  local preset=$1 label=$2 pattern=$3 log=build/log/ctest-$1-$2.log status=0 jobs
  local -a filter=()
  if [[ -n $pattern ]]; then filter+=(-R "$pattern"); else filter+=(--no-tests=error); fi
  if [[ -n $label ]]; then filter+=(-L "^$label\$"); fi
  if [[ $label == unit ]]; then jobs=$(nproc); else jobs=1; fi
  build_preset "$preset"
  with_steady_addresses ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" "${filter[@]}" \
    </dev/null 2>&1 | tee "$log" || status=$?
  awk '/tests passed, [0-9]+ tests failed out of/ {for (i = 1; i <= NF; i++) if ($i == "tests" && $(i + 1) == "failed") f = $(i - 1)
    print $NF - f, f}' "$log" >>"$counts"
  return "$status"
}

# The sanitizers of gcc 12 cannot start where the kernel randomises addresses by more than 28 bits.
with_steady_addresses() {
  local bits
  bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)
  if ((bits > 28)) && setarch -R true 2>/dev/null; then
    setarch -R "$@"
  else
    "$@"
  fi
}

summarise() {
  local name passed failed seconds all_passed=0 all_failed=0
  while IFS=$'\t' read -r name passed failed seconds; do
    say "$(printf '%-26s %4d passed %4d failed   %s' "$name" "$passed" "$failed" "$(duration "$seconds")")"
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed))
  done <"$results"
  say "$all_passed passed, $all_failed failed"
  ((all_failed == 0 && all_passed > 0))
}
