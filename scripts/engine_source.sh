# llama.cpp's source, pinned: out of a folder of the person's, the npm package or its public repository.

readonly engine_version=v0.5.0
readonly engine_package=node-llama-cpp@3.22.1
readonly engine_package_sha512='bltIipuWmc123H7tMIgDGKSsSrhmhlQYeVUC48XTjVW7XGJJiJJyCdlTMzQ/LiWoPkGDpcL4FviDpgw7qfTiDw=='
readonly engine_bundle_sha256=5f5d1105d5df040738d87b8290e5d17e7362131cdcfdb0831618e0ea528b4a51
readonly engine_tree=fd570ef54b10ec5fecb739e7e04c8ce44a6f415a # git's name for all the files in that bundle
readonly engine_repository=https://github.com/ggml-org/llama.cpp

source_git() {
  local folder=$1
  shift
  git -c safe.directory='*' -C "$folder" "$@" 2>/dev/null
}

# engine_source_name: what the engine is made of, for the key of the cache. A folder of the person's that holds exactly
# the pinned source counts as that.
engine_source_name() {
  local folder=${CARAVAN_LLAMA_SRC:-} tree changes
  if [[ -n $folder ]]; then
    tree=$(source_git "$folder" rev-parse 'HEAD^{tree}' || echo "$folder")
    changes=$(source_git "$folder" diff HEAD | sha256sum | cut -c 1-12)
    if [[ $tree != "$engine_tree" || $changes != "$(sha256sum </dev/null | cut -c 1-12)" ]]; then
      printf '%s+%s' "$tree" "$changes"
      return
    fi
  fi
  printf '%s' "$engine_version"
}

# ensure_engine_source: sets ENGINE_SOURCE to a folder with llama.cpp's source.
ensure_engine_source() {
  ENGINE_SOURCE=$CACHE/source/llama.cpp-$engine_version
  if [[ -n ${CARAVAN_LLAMA_SRC:-} ]]; then
    ENGINE_SOURCE=$(cd "$CARAVAN_LLAMA_SRC" 2>/dev/null && pwd) || ENGINE_SOURCE=''
    if [[ ! -f $ENGINE_SOURCE/ggml/include/gguf.h ]]; then
      fail "CARAVAN_LLAMA_SRC=$CARAVAN_LLAMA_SRC is not a folder with llama.cpp's source" "point it at one, or unset it"
    fi
  elif [[ ! -d $ENGINE_SOURCE ]]; then
    fetch_engine_source
  fi
}

# The ways to the source, in order. Each puts it into $part/source or says in `reason` why it could not.
fetch_engine_source() {
  local part=$CACHE/source/part log=$CACHE/log/source.log way reason
  local -a reasons=()
  : >"$log"
  for way in source_from_npm source_from_repository source_from_installed_npm; do
    rm -rf "$part" && mkdir -p "$part"
    reason=''
    if "$way"; then
      mv "$part/source" "$ENGINE_SOURCE"
      rm -rf "$part"
      return
    fi
    [[ -z $reason ]] || reasons+=("$reason")
  done
  rm -rf "$part"
  printf '%s\n' "${reasons[@]}" | quote_lines
  fail "llama.cpp $engine_version could not be fetched (log: $log)" \
    "check the network and any proxy, or set CARAVAN_LLAMA_SRC to a folder with its source; then ./run again"
}

source_from_npm() {
  if ! have npm; then
    reason='npm package: npm is not installed'
    return 1
  fi
  say "source   fetching llama.cpp $engine_version in the npm package $engine_package (36 MB)"
  if ! run_logged source "$log" npm pack --silent --ignore-scripts --no-update-notifier --cache "$part/npm" \
    --pack-destination "$part" "$engine_package"; then
    reason="npm package: $(grep -E 'npm (ERR!|error)' "$log" | head -n 1 || true)"
    return 1
  fi
  unpack_engine_package || return 1
  if ! run_logged source "$log" git clone --quiet "$part/package/llama/gitRelease.bundle" "$part/source"; then
    reason='npm package: git could not read the bundle in it'
    return 1
  fi
}

# Checks the package and the bundle in it against their pinned hashes.
unpack_engine_package() {
  local archive=("$part"/*.tgz) pinned found
  pinned=$(base64 -d <<<"$engine_package_sha512" | od -An -v -t x1 | tr -d ' \n')
  found=$(sha512sum "${archive[0]}" | cut -d ' ' -f 1)
  if [[ $found != "$pinned" ]]; then
    reason="npm package: its hash is not the pinned one, it was changed on the way"
    return 1
  fi
  tar -xzf "${archive[0]}" -C "$part" package/llama/gitRelease.bundle
  found=$(sha256sum "$part/package/llama/gitRelease.bundle" | cut -d ' ' -f 1)
  if [[ $found != "$engine_bundle_sha256" ]]; then
    reason='npm package: the hash of the bundle in it is not the pinned one'
    return 1
  fi
}

source_from_repository() {
  # A network that swallows packets shall not cost minutes: ask a small question with a deadline first.
  if ! GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code "$engine_repository" "refs/tags/$engine_version" \
    >>"$log" 2>&1 </dev/null; then
    reason="repository: $engine_repository did not answer"
    return 1
  fi
  say "source   fetching llama.cpp $engine_version from $engine_repository"
  if ! GIT_TERMINAL_PROMPT=0 run_logged source "$log" git -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=30 \
    clone --quiet --depth 1 --branch "$engine_version" "$engine_repository" "$part/source"; then
    reason="repository: git clone failed: $(tail -n 1 "$log")"
    return 1
  fi
}

source_from_installed_npm() {
  if have npm || in_termux || ! have apt-get; then return 1; fi
  say "source   no answer from $engine_repository; npm can fetch it too"
  install_with_apt npm
  source_from_npm
}
