# Where things are, also when nothing of the environment is set: HOME, PATH, the cache.

in_termux() { [[ ${PREFIX:-} == */com.termux/* ]]; }

# Sets HOME, PATH, PREFIX (Termux only) and CACHE.
prepare_environment() {
  unset CDPATH
  if [[ ${PATH@a} != *x* ]]; then unset PATH; fi # it was unset: what bash makes up for it has "." in it
  local termux=/data/data/com.termux/files
  if [[ -z ${PREFIX:-} && -d $termux/usr/bin ]]; then
    export PREFIX=$termux/usr
  fi
  if in_termux; then
    export PATH="${PATH:+$PATH:}$PREFIX/bin"
  else
    export PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  fi
  if [[ -z ${HOME:-} ]]; then
    unset HOME
    HOME=~ # of the user database
    export HOME
  fi
  CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/caravan
}

# make_cache: the cache folder with its parts, or an error that says which folder cannot be written.
make_cache() {
  if ! mkdir -p "$CACHE"/{engine,ggml,source,work,log} 2>/dev/null || [[ ! -w $CACHE ]]; then
    fail "the cache folder $CACHE cannot be written" \
      "make it writable for user $(id -un 2>/dev/null || id -u), or name another: XDG_CACHE_HOME=DIR ./run ..."
  fi
}

# with_lock FILE COMMAND...: one ./run at a time. The lock is gone with the last process that holds it.
with_lock() {
  local file=$1
  shift
  {
    if have flock && ! flock -n 9; then
      say "waiting for another ./run that is at work here"
      flock 9
    fi
    "$@"
  } 9>"$file"
}
