# ./run bench NAME: measures in the lab, beside what a person would use instead. Raw figures: lab/results/.

bench_command() {
  local name=${1:-}
  case $name in
    plan | replicas) shift ;;
    *) fail "./run bench has no '$name'" "./run bench plan [--shapes 0.5B,1B,3B] [--clusters TEXT], or ./run bench replicas; --help" 2 ;;
  esac
  check_lab_rights
  ensure_packages packages_to_build packages_to_lab
  ensure_engine
  mkdir -p build
  with_lock build/lock build_preset release caravan lab_net lab_random_model
  case $name in
    plan)
      ensure_engine_source # its vocabularies make the models
      exec python3 lab/bench_plan.py --vocabularies "$ENGINE_SOURCE/models" "$@"
      ;;
    replicas) exec python3 lab/bench_replicas.py "$@" ;;
  esac
}
