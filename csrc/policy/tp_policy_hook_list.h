/* SPDX-License-Identifier: Apache-2.0 */
/* Policies with a hook that shared code leaves out of a build without any of them: `looks`, `masks`, `score` of tp_policy_ops. */
#ifdef TP_POLICY_LOOKS
TP_POLICY_LOOKS(random)
TP_POLICY_LOOKS(selective)
TP_POLICY_LOOKS(eif)
#endif
#ifdef TP_POLICY_MASKS
TP_POLICY_MASKS(masked)
#endif
#ifdef TP_POLICY_SCORES
TP_POLICY_SCORES(emp)
#endif
