/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of kernels alone, compiled once for all tests that only call them (TP_TABLES_BESIDE). */
#define TP_TABLE
#include "../../csrc/core/tp_base.h"
TP_SCALAR_BEGIN
#define TP_SOURCES
#include "../../csrc/kernel/tp_isa_list.h"
TP_SCALAR_END
