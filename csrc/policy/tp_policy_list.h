/* SPDX-License-Identifier: Apache-2.0 */
/* One row per policy: its source and its wire id (never reused). Presets: name, then the parameters they set. */
#ifdef TP_SOURCES
#include "tp_policy.h"
#include "tp_policy_full.c"
#include "tp_policy_meprop.c"
#include "tp_policy_tinyprop.c"
#include "tp_policy_tinypropv2.c"
#include "tp_policy_random.c"
#include "tp_policy_selective.c"
#include "tp_policy_steered.c"
#include "tp_policy_masked.c"
#include "tp_policy_emp.c"
#include "tp_policy_eif.c"
#endif
#ifdef TP_POLICY
TP_POLICY(dense, 1)
TP_POLICY(full, 2)
TP_POLICY(meprop, 3)
TP_POLICY(tinyprop, 4)
TP_POLICY(tinypropv2, 5)
TP_POLICY(random, 6)
TP_POLICY(selective, 7)
TP_POLICY(steered, 8)
TP_POLICY(masked, 9)
TP_POLICY(emp, 10)
TP_POLICY(eif, 11)
#endif
#ifdef TP_PRESET
/* name, s_min, s_max, zeta, ymax_mode, output_dense, select, tau */
TP_PRESET(paper, 0.0f, 1.0f, 1.0f, TP_MAX_RUNNING, 0, TP_SELECT_ELEMENT, 0.5f)
TP_PRESET(accurate, 0.1f, 1.0f, 1.0f, TP_MAX_DECAY, 1, TP_SELECT_AUTO, 0.1f)
#endif
