#include "cli/models.h"

#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/located_facts.h"
#include "cli/models_info.h"
#include "cli/models_table.h"
#include "cli/print.h"
#include "cli/recommend.h"
#include "cli/transfer_report.h"
#include "model/pull.h"

namespace caravan::cli {
namespace {

constexpr const char* kExamples = R"(Examples:
  caravan models list                     what there is, and what is here
  caravan models recommend                which ones suit this device, and how fast they would be
  caravan models pull smollm2-135m        download it; Ctrl-C, and the next pull goes on from there
  caravan models info llama-3.2-1b        what it is and what it needs, also before it is downloaded
  caravan models path smollm2-135m        where it is, for scripts
  caravan models verify smollm2-135m      hash it again
  caravan models rm smollm2-135m          delete it

Models are found in ~/.caravan/models (CARAVAN_HOME), ~/models, ~/.exo/models and the Hugging Face cache (HF_HOME).
A catalogue of your own: CARAVAN_CATALOGUE=FILE.)";

struct Arguments {
  std::string name;
  InfoOptions info;
  bool json = false;
  bool yes = false;
};

void print_json(const Json& value) {
  fmt::print("{}\n", dump_json(value));
  std::fflush(stdout);
}

int report_error(const Error& error, bool json) {
  if (!json) return print_error(error);
  print_json({{"event", "error"}, {"error", to_json(error)}});
  return exit_code_of(error.code);
}

std::string_view name_of(model::Trust trust) {
  switch (trust) {
    case model::Trust::catalogue:
      return "catalogue";
    case model::Trust::source:
      return "source";
    case model::Trust::nothing:
      return "nothing";
  }
  return "";
}

std::string_view explain(model::Trust trust) {
  switch (trust) {
    case model::Trust::catalogue:
      return "SHA-256 as in the catalogue";
    case model::Trust::source:
      return "SHA-256 as its server stated it";
    case model::Trust::nothing:
      return "not verified: nobody states a SHA-256 of it";
  }
  return "";
}

Json json_of(const model::PulledModel& pulled) {
  return {{"event", "done"},
          {"path", pulled.path.string()},
          {"sha256", pulled.sha256},
          {"checked_against", name_of(pulled.trust)},
          {"was_there", pulled.was_there}};
}

int list(const Arguments& arguments) {
  const auto catalogue = model::load_catalogue();
  if (!catalogue) return report_error(catalogue.error(), arguments.json);
  const model::ModelRoots roots = model::default_model_roots();
  const ModelList models = make_model_list(*catalogue, stored_models(roots), roots);
  if (arguments.json) {
    print_json(json_of(models));
  } else {
    fmt::print("{}", table_of(models));
  }
  return 0;
}

int pull(const Arguments& arguments) {
  const auto catalogue = model::load_catalogue();
  if (!catalogue) return report_error(catalogue.error(), arguments.json);
  const auto entry = find_entry(arguments.name, *catalogue);
  if (!entry) return report_error(entry.error(), arguments.json);
  TransferReport report("pull " + entry->name, arguments.json);
  const auto pulled = pull_model(*entry, {}, report.control());
  report.clear();
  if (!pulled) return report_error(pulled.error(), arguments.json);
  if (arguments.json) {
    print_json(json_of(*pulled));
    return 0;
  }
  fmt::print("{} {}: {} ({}, {})\n", entry->name, pulled->was_there ? "was there already" : "is ready",
             printable(for_people(pulled->path)), format_bytes(entry->size), explain(pulled->trust));
  if (!entry->note.empty()) fmt::print("  note: {}\n", printable(entry->note));
  return 0;
}

Result<model::StoredModel> find(const std::string& name) {
  const auto catalogue = model::load_catalogue();
  if (!catalogue) return catalogue.error();
  return find_model(name, *catalogue, model::default_model_roots());
}

int path(const Arguments& arguments) {
  const auto model = find(arguments.name);
  if (!model) return report_error(model.error(), arguments.json);
  if (arguments.json) {
    print_json({{"path", model->path.string()}, {"size", model->size.count}, {"own", model->own}});
  } else {
    fmt::print("{}\n", model->path.string());
  }
  return 0;
}

int info(const Arguments& arguments) {
  const auto found = facts_of(arguments.name);
  if (!found) return report_error(found.error(), arguments.json);
  const auto question = question_of(arguments.info, found->facts);
  if (!question) return report_error(question.error(), arguments.json);
  if (arguments.json) {
    print_json(info_json(found->facts, *question, found->where));
  } else {
    fmt::print("{}", info_text(found->facts, *question, for_people(found->where)));
  }
  return 0;
}

void add_info_options(CLI::App& command, InfoOptions& options) {
  command.add_option("--context", options.context, "tokens for each sequence")->check(CLI::PositiveNumber);
  command.add_option("--parallel", options.parallel, "sequences at once")->check(CLI::Range(1, 256));
  command.add_option("--ubatch", options.ubatch, "tokens of a prompt at once")->check(CLI::PositiveNumber);
  command.add_option("--kv-type", options.kv_type, "f16, q8_0, q4_0 ...; or two for keys,values");
  command.add_option("--flash-attn", options.flash_attn, "on or off")->check(CLI::IsMember({"on", "off"}));
  command.add_flag("--unified", options.unified, "one pool of context for all sequences");
  command.add_option("--layers", options.layers, "of one of several devices: 4-11, or none");
  command.add_flag("--worker", options.is_worker, "that device is not the master");
  command.add_flag("!--no-head", options.has_head, "that device does not have the output head");
  command.add_flag("--pipelined", options.pipelined, "workers overlap: all layers and the head are on them");
}

int verify(const Arguments& arguments) {
  const auto catalogue = model::load_catalogue();
  if (!catalogue) return report_error(catalogue.error(), arguments.json);
  const auto model = find(arguments.name);
  if (!model) return report_error(model.error(), arguments.json);
  TransferReport report("verify " + model->path.filename().string(), arguments.json);
  const auto verified = verify_model(*model, *catalogue, {}, report.control());
  report.clear();
  if (!verified) return report_error(verified.error(), arguments.json);
  if (arguments.json) {
    print_json(json_of(*verified));
  } else {
    fmt::print("{}: {}\n  {}\n", printable(for_people(model->path)), explain(verified->trust),
               verified->sha256);
  }
  return 0;
}

/// Asks on the terminal; without one nobody can answer, and the answer is no.
Result<void> confirm(const std::string& question) {
  if (!is_terminal(stdin)) return Error{Code::invalid, question + " nobody is there to answer", "add --yes"};
  fmt::print("{} [y/N] ", question);
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return {};
  return Error{Code::interrupted, "nothing was deleted", ""};
}

int report_deleted(const fs::path& path, std::string_view what, bool json) {
  if (json) {
    print_json({{"event", "deleted"}, {"path", path.string()}});
  } else {
    fmt::print("deleted {}{}\n", what, printable(for_people(path)));
  }
  return 0;
}

int rm(const Arguments& arguments) {
  const auto catalogue = model::load_catalogue();
  if (!catalogue) return report_error(catalogue.error(), arguments.json);
  const model::ModelRoots roots = model::default_model_roots();
  const auto model = find_model(arguments.name, *catalogue, roots);
  const model::CatalogueEntry* entry = catalogue->find(arguments.name);
  if (!model && entry != nullptr && part_size(*entry, roots) > Bytes{}) {
    const auto removed = remove_part(*entry, roots);
    if (!removed) return report_error(removed.error(), arguments.json);
    return report_deleted(roots.own / entry->file, "what was downloaded of ", arguments.json);
  }
  if (!model) return report_error(model.error(), arguments.json);
  if (model->own && !arguments.yes) {
    const auto confirmed = confirm(
        fmt::format("Delete {} ({})?", printable(for_people(model->path)), format_bytes(model->size)));
    if (!confirmed) return report_error(confirmed.error(), arguments.json);
  }
  if (const auto removed = remove_model(*model, roots); !removed)
    return report_error(removed.error(), arguments.json);
  return report_deleted(model->path, "", arguments.json);
}

}  // namespace

void add_models(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  CLI::App* models =
      root.add_subcommand("models", "Models: list, recommend, download, describe, find, verify, delete");
  models->footer(kExamples);
  models->require_subcommand(1);
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](const char* name, const char* description, int (*command)(const Arguments&)) {
    CLI::App* subcommand = models->add_subcommand(name, description);
    subcommand->callback(
        [run, arguments, command] { run([arguments, command] { return command(*arguments); }); });
    return subcommand;
  };
  const auto takes_name = [&](CLI::App* subcommand, const char* what) {
    subcommand->add_option("NAME", arguments->name, what)->required();
  };
  const auto takes_json = [&](CLI::App* subcommand, const char* what) {
    subcommand->add_flag("--json", arguments->json, what);
  };
  takes_json(add("list", "Models that Caravan knows, and models on this device", list), "as JSON");
  CLI::App* pulls = add("pull", "Downloads a model, or goes on with a download that was interrupted", pull);
  takes_name(pulls, "a name that `caravan models list` shows");
  takes_json(pulls, "progress and result as lines of JSON");
  CLI::App* paths = add("path", "Prints where a model is", path);
  takes_name(paths, "a name, a file name or a path");
  takes_json(paths, "as JSON");
  CLI::App* infos = add("info", "Shows what a model is, and the memory that it needs", info);
  takes_name(infos, "a name, a file name or a path; of the catalogue also what is not downloaded");
  takes_json(infos, "as JSON");
  add_info_options(*infos, arguments->info);
  CLI::App* verifies = add("verify", "Hashes a model and compares with what is known about it", verify);
  takes_name(verifies, "a name, a file name or a path");
  takes_json(verifies, "progress and result as lines of JSON");
  CLI::App* removes = add("rm", "Deletes a model that Caravan downloaded", rm);
  takes_name(removes, "a name or a file name");
  removes->add_flag("--yes,-y", arguments->yes, "does not ask");
  takes_json(removes, "the result as JSON");
  add_recommend(*models, run);
}

}  // namespace caravan::cli
