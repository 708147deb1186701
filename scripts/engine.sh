# The engine: llama.cpp's programs and a static ggml-base, built once per source, flags and processor, outside the tree.
#   $CACHE/engine/KEY/{bin,engine.json}, $CACHE/engine/current -> KEY, $CACHE/ggml/KEY/{include,lib}

# shellcheck disable=SC2016 # $ORIGIN is for the dynamic linker: libraries are found beside the program, wherever it is
engine_flags=(
  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON
  -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN'
  -DGGML_NATIVE=ON -DGGML_RPC=ON -DLLAMA_OPENSSL=OFF
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
  -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
)
readonly engine_programs=(llama-server ggml-rpc-server llama-bench)
ggml_flags=(
  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DGGML_CPU=OFF
  -DGGML_OPENMP=OFF
  -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TESTS=OFF
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
)

# What the compiler is and what this processor can do, as far as it changes the code that comes out.
compiler_facts() {
  local option
  for option in -march=native -mcpu=native -O2; do
    if "${CC:-cc}" "$option" -dM -E -x c /dev/null 2>/dev/null; then break; fi
  done
  printf '%s\n' "${CC:-cc}" "${CXX:-c++}" "${CFLAGS:-}" "${CXXFLAGS:-}" "${LDFLAGS:-}"
}

# Sets ENGINE_KEY. All engines with the same key behave alike.
set_engine_key() {
  local extra hash
  read -ra extra <<<"${CARAVAN_ENGINE_FLAGS:-}"
  engine_flags+=(${extra[@]+"${extra[@]}"})
  hash=$({
    engine_source_name
    printf '%s\n' "${engine_flags[@]}" "${ggml_flags[@]}" "${engine_programs[@]}"
    compiler_facts
  } | sha256sum)
  ENGINE_KEY=$engine_version-${hash:0:12}
}

ggml_is_whole() { [[ -f $GGML_FOLDER/lib/libggml-base.a && -f $GGML_FOLDER/include/ggml-backend-impl.h ]]; }
engine_is_whole() { [[ -f $CACHE/engine/$ENGINE_KEY/engine.json ]] && ggml_is_whole; }

# ensure_engine: sets ENGINE_KEY and GGML_FOLDER, builds what is not there yet.
ensure_engine() {
  set_engine_key
  GGML_FOLDER=$CACHE/ggml/$ENGINE_KEY
  if ! engine_is_whole; then
    make_cache
    with_lock "$CACHE/lock" build_engine
  fi
  if [[ $(readlink "$CACHE/engine/current" || true) != "$ENGINE_KEY" ]]; then
    ln -sfn "$ENGINE_KEY" "$CACHE/engine/current.part"
    mv -T "$CACHE/engine/current.part" "$CACHE/engine/current"
  fi
}

build_engine() {
  local began=$SECONDS work=$CACHE/work/$ENGINE_KEY log=$CACHE/log/engine-$ENGINE_KEY.log
  if engine_is_whole; then return; fi # by the other ./run that we waited for
  ensure_engine_source
  if [[ -d $work ]]; then say "engine   an earlier build was interrupted; going on from there"; fi
  mkdir -p "$work"
  if [[ ! -f $CACHE/engine/$ENGINE_KEY/engine.json ]]; then
    say "engine   building llama.cpp $engine_version, once for this machine (some 5 minutes on two cores); log: $log"
    make_with_cmake "$work/engine" "$log" engine "${engine_programs[@]}" -- "${engine_flags[@]}"
    keep_engine "$work/engine/bin"
  fi
  if ! ggml_is_whole; then
    make_with_cmake "$work/ggml" "${log/engine-/ggml-}" ggml ggml-base -- "${ggml_flags[@]}"
    keep_ggml "$work/ggml"
  fi
  rm -rf "$work"
  say "engine   ready after $(duration $((SECONDS - began))): $CACHE/engine/$ENGINE_KEY"
}

# make_with_cmake FOLDER LOG LABEL TARGET... -- FLAG...
make_with_cmake() {
  local folder=$1 log=$2 label=$3
  local -a targets=()
  shift 3
  while [[ $1 != -- ]]; do
    targets+=("$1")
    shift
  done
  shift
  if [[ ! -f $folder/build.ninja ]]; then
    : >"$log"
    if ! run_logged "$label" "$log" cmake -S "$ENGINE_SOURCE" -B "$folder" -G Ninja "$@"; then
      engine_failed "$log" "CMake cannot configure llama.cpp"
    fi
  fi
  run_ninja "$label" "$log" "$folder" "${targets[@]}" || engine_failed "$log" "llama.cpp cannot be compiled"
}

engine_failed() {
  quote_failure "$1"
  fail "$2 (log: $1)" "cure what is quoted above and run ./run again: it goes on from there; ./run clean --all starts over"
}

# keep_engine FOLDER: the programs and their libraries side by side; tried before they are taken for good.
keep_engine() {
  local part=$CACHE/engine/$ENGINE_KEY.part commit program
  rm -rf "$part" && mkdir -p "$part/bin"
  for program in "${engine_programs[@]}"; do cp "$1/$program" "$part/bin/"; done
  cp -a "$1"/lib*.so* "$part/bin/"
  for program in llama-server ggml-rpc-server; do
    if ! timeout 60 "$part/bin/$program" --help >>"$log" 2>&1 </dev/null; then
      engine_failed "$log" "the $program that was built does not start"
    fi
  done
  commit=$(source_git "$ENGINE_SOURCE" rev-parse HEAD || echo unknown)
  printf '{"version": "%s", "commit": "%s", "build_id": "%s", "flags": "%s"}\n' \
    "$engine_version" "$commit" "$ENGINE_KEY" "${engine_flags[*]//\"/\\\"}" >"$part/engine.json"
  rm -rf "${CACHE:?}/engine/$ENGINE_KEY"
  mv "$part" "$CACHE/engine/$ENGINE_KEY"
}

# keep_ggml FOLDER: the library, its headers and what a backend of one's own needs besides them.
keep_ggml() {
  local part=$GGML_FOLDER.part
  rm -rf "$part" && mkdir -p "$part/include" "$part/lib"
  cp "$ENGINE_SOURCE"/ggml/include/*.h "$ENGINE_SOURCE"/ggml/src/ggml{,-backend}-impl.h "$part/include/"
  cp "$(find "$1" -name libggml-base.a)" "$part/lib/"
  rm -rf "$GGML_FOLDER"
  mv "$part" "$GGML_FOLDER"
}
