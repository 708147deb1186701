# What people see: messages, errors with a cure, durations, sizes, a guess at what was meant.
# Everything goes to standard error: standard output belongs to the program that `run` starts.

say() { printf '%s\n' "$*" >&2; }

# fail CAUSE CURE [EXIT-CODE]
fail() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
  exit "${3:-1}"
}

have() { command -v "$1" >/dev/null 2>&1; }

draws_on_terminal() { [[ -t 2 && ${TERM:-dumb} != dumb ]]; }

# duration SECONDS: "7 s", "3 min 05 s".
duration() {
  if (($1 < 60)); then
    printf '%d s' "$1"
  else
    printf '%d min %02d s' $(($1 / 60)) $(($1 % 60))
  fi
}

# rough_duration SECONDS: for what is only guessed: "40 s", "4 min".
rough_duration() {
  if (($1 < 60)); then printf '%d s' "$1"; else printf '%d min' $((($1 + 30) / 60)); fi
}

# size_of PATH...: "93 MB", as the disk sees it.
size_of() {
  local kilobytes
  kilobytes=$(du -skc -- "$@" 2>/dev/null | tail -n 1 | cut -f 1)
  printf '%d MB' $(((${kilobytes:-0} + 1023) / 1024))
}

# quote_lines: indents what a program said, so that it is told apart from what we say.
quote_lines() { sed 's/^/  | /' >&2; }

# edit_distance A B
edit_distance() {
  local a=$1 b=$2 i j cost best
  local -a previous current
  for ((j = 0; j <= ${#b}; j++)); do previous[j]=$j; done
  for ((i = 1; i <= ${#a}; i++)); do
    current=("$i")
    for ((j = 1; j <= ${#b}; j++)); do
      [[ ${a:i-1:1} == "${b:j-1:1}" ]] && cost=0 || cost=1
      best=$((previous[j - 1] + cost))
      ((previous[j] + 1 < best)) && best=$((previous[j] + 1))
      ((current[j - 1] + 1 < best)) && best=$((current[j - 1] + 1))
      current[j]=$best
    done
    previous=("${current[@]}")
  done
  printf '%d' "${previous[${#b}]}"
}

# closest_match WORD CANDIDATE...: the candidate that was probably meant, or nothing.
closest_match() {
  local word=$1 candidate distance best='' best_distance=3
  shift
  for candidate; do
    distance=$(edit_distance "$word" "$candidate")
    if ((distance < best_distance)); then
      best=$candidate best_distance=$distance
    fi
  done
  printf '%s' "$best"
}
