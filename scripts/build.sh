# Configuring and building Caravan itself: one folder a preset below build/, the program at build/bin/caravan.

warnings_as_errors() { if in_termux || [[ ${CARAVAN_WERROR:-1} == 0 ]]; then echo OFF; else echo ON; fi; }

# configure FOLDER CMAKE-ARGUMENT...: only when it was not configured before, or otherwise.
configure() {
  local folder=$1 log=build/log/configure-${1##*/}.log wanted
  shift
  local -a arguments=("$@" -DCARAVAN_GGML_DIR="$GGML_FOLDER" -DCARAVAN_ENGINE_DIR="$CACHE/engine/$ENGINE_KEY"
    -DCARAVAN_WERROR="$(warnings_as_errors)")
  if [[ -d $CACHE/$private_boost ]] && ! has_system_boost 81; then arguments+=(-DBOOST_ROOT="$CACHE/$private_boost"); fi
  if have ccache; then arguments+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  wanted=$(printf '%s\n' "$PWD" "${CC:-}" "${CXX:-}" "${arguments[@]}" "$(sha256sum CMakePresets.json)")
  if [[ -f $folder/build.ninja && $(cat "$folder/configured-as" 2>/dev/null) == "$wanted" ]]; then return; fi
  # CMake cannot change a compiler or a folder's place afterwards, and starting over is cheap.
  rm -rf "$folder" && mkdir -p "$folder" build/log
  : >"$log"
  if ! run_logged configure "$log" cmake -B "$folder" "${arguments[@]}"; then
    grep -A 8 '^CMake Error' "$log" | head -n 20 | quote_lines || tail -n 8 "$log" | quote_lines
    fail "CMake cannot configure ${folder#build/} (log: $log)" "cure what is quoted above, then ./run again"
  fi
  printf '%s\n' "$wanted" >"$folder/configured-as"
}

# build_preset PRESET TARGET...: configured and built; only says something when there is something to do.
build_preset() {
  local preset=$1 began=$SECONDS log=build/log/$1.log
  shift
  configure "build/$preset" --preset "$preset"
  if ! run_ninja "$preset" "$log" "build/$preset" "$@"; then
    quote_failure "$log"
    fail "the $preset build failed (log: $log)" "cure what is quoted above, then ./run again"
  fi
  if ! grep -q '^ninja: no work to do' "$log"; then
    say "$(printf '%-8s built in %s' "$preset" "$(duration $((SECONDS - began)))")"
  fi
}

build_program() { build_preset release caravan caravan_worker ggml_caravan; }

# ensure_program: packages, engine, build/bin/caravan.
ensure_program() {
  ensure_packages packages_to_build
  ensure_engine
  mkdir -p build
  with_lock build/lock build_program
}

build_command() {
  ensure_program
  say "build/bin/caravan is up to date"
}

# caravan_command ARGUMENT...: in the folder that the person is in, so that paths mean what they say.
caravan_command() {
  ensure_program
  local program=$PWD/build/bin/caravan
  cd "$invoked_from" || fail "the folder $invoked_from is gone" "go to one that exists"
  exec "$program" "$@"
}

clean_command() {
  if [[ -n ${1:-} && $1 != --all ]]; then fail "./run clean has no option '$1'" "./run clean [--all]" 2; fi
  if [[ -d build ]]; then
    say "removing build/ ($(size_of build))"
    rm -rf build
  fi
  if [[ ${1:-} == --all && -d $CACHE ]]; then
    say "removing the engine and its source, $CACHE ($(size_of "$CACHE")); the next ./run build makes them again"
    rm -rf "$CACHE"
  elif [[ -d $CACHE ]]; then
    say "kept: the engine in $CACHE ($(size_of "$CACHE")); ./run clean --all removes it too"
  fi
}
