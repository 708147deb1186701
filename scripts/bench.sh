# ./run bench NAME: measures in the lab, beside what a person would use instead. Raw figures: lab/results/.

bench_command() {
  local name=${1:-}
  case $name in
    plan | tunnel | replicas | fabric | wire) ;;
    *) fail "./run bench has no '$name'" "./run bench plan, tunnel, replicas, fabric or wire; each has --help" 2 ;;
  esac
  shift
  if [[ $name == wire ]]; then bench_wire "$@"; fi
  check_lab_rights
  ensure_packages packages_to_build packages_to_lab
  ensure_engine
  mkdir -p build
  with_lock build/lock build_preset release caravan caravan_worker ggml_caravan lab_net lab_random_model \
    lab_tunnel_cost
  if [[ $name == replicas ]]; then exec python3 lab/bench_replicas.py "$@"; fi
  ensure_engine_source # its vocabularies make the models
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
