# Long commands: everything they print goes to a log, people see one line that moves.

readonly progress_every=15 # seconds between two lines when there is no terminal to redraw one on

# progress_text LABEL COUNTER FINISHED TOTAL SECONDS
progress_text() {
  local finished=$3 total=$4 seconds=$5
  printf '%-8s' "$1"
  if ((total > 0)); then printf '%s %3d%%' "$2" $((100 * finished / total)); fi
  printf '  %s so far' "$(duration "$seconds")"
  if ((seconds >= 5 && total > 0 && 20 * finished >= total && finished < total)); then
    printf ', about %s left' "$(rough_duration $((seconds * (total - finished) / finished)))"
  fi
}

# read_progress LINE: sets `counter`, `finished` and `total` of the caller from a line of ninja ("[3/80] ...") or of apt's
# status, where fetching is the first half and installing the second.
read_progress() {
  if [[ $1 =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
    finished=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
    printf -v counter ' [%*d/%d]' ${#total} "$finished" "$total"
  elif [[ $1 =~ ^(dl|pm)status:[^:]*:([0-9]+) ]]; then
    finished=${BASH_REMATCH[2]} total=200 counter=''
    if [[ ${BASH_REMATCH[1]} == pm ]]; then finished=$((finished + 100)); fi
  fi
}

# show_progress LABEL LOG: copies its input to LOG and shows how far it is.
show_progress() {
  local label=$1 log=$2 line='' part='' more=1 counter='' finished=0 total=0 began=$SECONDS shown=$SECONDS drawn=''
  while ((more)); do
    if IFS= read -r -t 1 line; then
      printf '%s\n' "$part$line" >>"$log"
      read_progress "$part$line"
      part=''
    elif (($? > 128)); then
      part+=$line # a line that is still being written
    else
      [[ -z $part$line ]] || printf '%s\n' "$part$line" >>"$log"
      more=0
    fi
    if draws_on_terminal && [[ $drawn != "$finished $SECONDS" ]]; then
      drawn="$finished $SECONDS"
      printf '\r\033[K%s' "$(progress_text "$label" "$counter" "$finished" "$total" $((SECONDS - began)))" >&2
    elif ! draws_on_terminal && ((more && SECONDS - shown >= progress_every)); then
      shown=$SECONDS
      say "$(progress_text "$label" "$counter" "$finished" "$total" $((SECONDS - began)))"
    fi
  done
  if draws_on_terminal; then printf '\r\033[K' >&2; fi
}

# run_logged LABEL LOG COMMAND...: the exit code is the command's.
run_logged() {
  local label=$1 log=$2
  shift 2
  "$@" 2>&1 </dev/null | show_progress "$label" "$log"
}

# building_jobs: as many compilers as cores, fewer when there is little memory (one of ours takes up to 1.2 GB).
building_jobs() {
  local cores memory
  cores=$(nproc 2>/dev/null || echo 2)
  memory=$(awk '/^MemAvailable:/ {print int($2 / 1200000)}' /proc/meminfo 2>/dev/null || true)
  if [[ -n $memory ]] && ((memory < cores)); then cores=$((memory > 0 ? memory : 1)); fi
  printf '%d' "${CARAVAN_JOBS:-$cores}"
}

# run_ninja LABEL LOG FOLDER TARGET...: the log holds this run only.
run_ninja() {
  local label=$1 log=$2 folder=$3
  shift 3
  mkdir -p "${log%/*}"
  : >"$log"
  local status=0
  NINJA_STATUS='[%f/%t] ' run_logged "$label" "$log" ninja -C "$folder" -j "$(building_jobs)" "$@" || status=$?
  if ((status != 0)) && grep -q '^ninja: build stopped: interrupted' "$log"; then status=130; fi
  if ((status == 130)); then exit 130; fi
  return "$status"
}

# quote_failure LOG: what the first failed command of a build said, else the last lines.
quote_failure() {
  local first
  first=$(grep -n -m 1 '^FAILED: ' "$1" | cut -d : -f 1 || true)
  if [[ -n $first ]]; then
    tail -n +"$first" "$1" | sed -n '1p;3,60p' # the second is the whole command line
  else
    tail -n 30 "$1"
  fi | grep -v '^\[[0-9]*/[0-9]*\]' | cut -c 1-400 | quote_lines
}
