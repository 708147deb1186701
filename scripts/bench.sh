# ./run bench NAME: measures in the lab, beside what a person would use instead. Raw figures: lab/results/.

bench_command() {
  local name=${1:-}
  case $name in
    -h | --help)
      help_command | grep 'run bench '
      say "each has --help; docs/lab.md says more, lab/results/ has figures"
      return
      ;;
    plan | regret | tunnel | replicas | fabric | wire | ops | soak) ;;
    *) fail "./run bench has no '$name'" "./run bench plan, regret, tunnel, replicas, fabric, wire, ops or soak; each has --help" 2 ;;
  esac
  shift
  if [[ $name == wire ]]; then bench_wire "$@"; fi
  if [[ $name != ops && $name != soak ]]; then check_lab_rights; fi
  ensure_packages packages_to_build packages_to_lab
  ensure_engine
  mkdir -p build
  with_lock build/lock build_preset release caravan caravan_worker ggml_caravan lab_net lab_random_model \
    lab_tunnel_cost lab_soak_fabric
  if [[ $name == replicas ]]; then exec python3 lab/bench_replicas.py "$@"; fi
  if [[ $name == soak ]]; then exec python3 lab/bench_soak.py "$@"; fi
  ensure_engine_source # its vocabularies make the models
  if [[ $name == ops ]]; then
    exec python3 lab/bench_ops.py --source "$ENGINE_SOURCE" --ggml "$GGML_FOLDER" --engine "$CACHE/engine/$ENGINE_KEY" --cache "$CACHE" "$@"
  fi
  exec python3 "lab/bench_$name.py" --vocabularies "$ENGINE_SOURCE/models" "$@"
}

# No lab: all of it is on loopback, and none of it depends on time.
bench_wire() {
  ensure_program
  ensure_engine_source # llama.cpp's header
  with_lock build/lock build_perplexity
  exec python3 lab/bench_wire.py "$@"
}

build_perplexity() {
  local log=build/log/perplexity.log
  mkdir -p build/log
  if ! run_logged configure "$log" cmake -DCARAVAN_ENGINE_SOURCE="$ENGINE_SOURCE" build/release ||
    ! run_ninja perplexity "$log" build/release lab_perplexity; then
    quote_failure "$log"
    fail "lab_perplexity cannot be built (log: $log)" "cure what is quoted above, then ./run bench wire again"
  fi
}
