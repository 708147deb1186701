// What ggml asks the module when tensors are split between its devices (--split-mode tensor): to add up what
// each of them has computed. The workers do it among themselves when each of them reaches every other; else
// the values go through this process. Inputs that were not computed count as zeros, and the sum is made in
// the order of the stages, so that all devices have the same bits.
#pragma once

namespace caravan::fabric {

/// The function of this name for ggml_backend_reg_get_proc_address: "ggml_backend_comm_init",
/// "ggml_backend_comm_free", "ggml_backend_comm_allreduce_tensor". Null for others.
void* all_reduce_function(const char* name);

}  // namespace caravan::fabric
