# ./run fuzz [NAME] [SECONDS]: libFuzzer over the decoders of tests/fuzz, with clang's sanitizers.

fuzz_names() {
  local file
  for file in tests/fuzz/*_fuzz.cpp; do
    file=${file##*/}
    printf '%s\n' "${file%_fuzz.cpp}"
  done
}

fuzz_command() {
  local name=${1:-} seconds=${2:-60} each
  if [[ $name =~ ^[0-9]+$ ]]; then name='' seconds=$1; fi
  local -a names
  mapfile -t names < <(fuzz_names)
  if [[ -n $name && " ${names[*]} " != *" $name "* ]]; then
    each=$(closest_match "$name" "${names[@]}")
    fail "there is no fuzz target '$name'" "${each:+did you mean $each? }There are: ${names[*]}" 2
  fi
  ensure_packages packages_to_build packages_to_fuzz
  ensure_engine
  configure build/fuzz -S . -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCARAVAN_LIBFUZZER=ON \
    -DCARAVAN_SANITIZE=address,undefined -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14
  for each in ${name:-"${names[@]}"}; do fuzz_one "$each" "$seconds"; done
}

# fuzz_one NAME SECONDS: what it finds worth keeping stays in build/fuzz/corpus; a crash leaves its input.
fuzz_one() {
  local log=build/log/fuzz.log corpus=build/fuzz/corpus/$1
  mkdir -p "$corpus"
  if ! run_ninja fuzz "$log" build/fuzz "fuzz_$1"; then
    quote_failure "$log"
    fail "fuzz_$1 cannot be built (log: $log)" "cure what is quoted above"
  fi
  say "fuzz     $1 for $2 s"
  if ! "build/fuzz/tests/fuzz/fuzz_$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build/fuzz/$1-" "$corpus" "tests/fuzz/corpus/$1"; then
    fail "fuzz_$1 found something" "the input is the newest build/fuzz/$1-*; when cured, add it to tests/fuzz/corpus/$1"
  fi
}
