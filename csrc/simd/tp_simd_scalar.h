/* SPDX-License-Identifier: Apache-2.0 */
/* The reference: the P = 8 lanes of the contract as an array. Compilers turn it into whatever the target has. */
#define TP_WIDE 0 /* eight lanes cost eight operations */
#define vf tp_vs
#define vf_zero() ((tp_vs){{0}})
#define vf_load(p) tp_vs_load(p)
#define vf_store(p, a) tp_vs_store((p), (a))
#define vf_set1(a) tp_vs_set1(a)
#define vf_fma(a, b, c) TP_K(vs_fma)((a), (b), (c))
#define vf_fma_part(a, b, c, n) TP_K(vs_fma_part)((a), (b), (c), (n))
#define vf_load_part(p, n) tp_vs_load_part((p), (n))
#define vf_add(a, b) tp_vs_add((a), (b))
#define vf_abs(a) tp_vs_abs(a)
#define vf_sum(a) tp_vs_sum(a)

#define TP_LANES 8
#define vw tp_vs
#define vw_zero() vf_zero()
#define vw_load(p) vf_load(p)
#define vw_store(p, a) vf_store((p), (a))
#define vw_set1(a) vf_set1(a)
#define vw_fma(a, b, c) vf_fma((a), (b), (c))
#define vw_add(a, b) vf_add((a), (b))
#define vw_load_part(p, n) vf_load_part((p), (n))
#define vw_store_part(p, a, n) tp_vs_store_part((p), (a), (n))
#define vw_select(first, a, b) tp_vs_select((first), (a), (b))

/* element by element: one at a time, which compilers turn into what the target has, and small cores run as it stands */
#define TP_SPAN 1
#define ve float
#define ve_load(p) (*(p))
#define ve_load_part(p, n) (*(p))
#define ve_store(p, a) (*(p) = (a))
#define ve_store_part(p, a, n) (*(p) = (a))
#define ve_set1(a) (a)
#define ve_add(a, b) ((a) + (b))
#define ve_sub(a, b) ((a) - (b))
#define ve_mul(a, b) ((a) * (b))
#define ve_div(a, b) ((a) / (b))
#define ve_fma(a, b, c) TP_FMA((a), (b), (c))
#define ve_neg(a) (-(a))
#define ve_abs(a) tp_abs(a)
#define ve_if(m, a, b) ((m) ? (a) : (b))
/* a < b ? a : b, a > b ? a : b: with a NaN, b */
#define ve_min(a, b) ((a) < (b) ? (a) : (b))
#define ve_max(a, b) ((a) > (b) ? (a) : (b))
#define ve_only(m, a) ((m) ? (a) : 0.0f)
#define ve_first(a) (a)
#define ve_of(u) tp_f32_from_bits(u)
#define ve_of_int(u) ((float)(int32_t)(u))
#define vu uint32_t
#define vu_set1(a) (a)
#define vu_bits(a) tp_f32_bits(a)
#define vu_abs(a) (tp_f32_bits(a) & 0x7fffffffu)
#define vu_and(a, b) ((a) & (b))
#define vu_or(a, b) ((a) | (b))
#define vu_shl(a, n) ((a) << (n))
#define vu_shr(a, n) ((a) >> (n))
#define vu_add(a, b) ((a) + (b))
#define vu_sub(a, b) ((a) - (b))
#define vu_min(a, b) tp_min_u32((a), (b))
#define vu_max(a, b) tp_max_u32((a), (b))
#define vu_count(a, m) ((a) + ((m) ? 1u : 0u))
#define vu_min_of(a) (a)
#define vu_max_of(a) (a)
#define vm bool
#define vm_above(a, b) ((a) > (b))
#define vm_lt(a, b) ((a) < (b))
#define vm_le(a, b) ((a) <= (b))
#define vm_not_le(a, b) (!((a) <= (b)))
#define vm_nan(a) ((a) != (a))
#define vm_first(n) ((n) > 0)
#define vm_except(a, b) ((a) && !(b))
#define vc uint32_t
#define vc_zero() 0u
#define vc_add(c, m) ((c) + ((m) ? 1u : 0u))
#define vc_sum(c) (c)
/* elements j, j + 1 .. join their partial sums */
#define vf_add_span(acc, j, a) ((acc).v[(j) & 7u] += (a))
#define vf_square_span(acc, j, a) ((acc).v[(j) & 7u] = TP_FMA((a), (a), (acc).v[(j) & 7u]))

#ifndef TINYPROP_TP_SIMD_SCALAR_H
#define TINYPROP_TP_SIMD_SCALAR_H
typedef struct tp_vs {
    float v[8];
} tp_vs;

TP_INLINE tp_vs tp_vs_load(const float *p) {
    tp_vs r;
    TP_MEMCPY(r.v, p, sizeof r.v);
    return r;
}
TP_INLINE void tp_vs_store(float *p, tp_vs a) { TP_MEMCPY(p, a.v, sizeof a.v); }
TP_INLINE tp_vs tp_vs_set1(float a) {
    tp_vs r;
    for (uint32_t i = 0; i < 8; i++) { r.v[i] = a; }
    return r;
}
TP_INLINE tp_vs tp_vs_load_part(const float *p, uint32_t n) {
    tp_vs r = {{0}};
    for (uint32_t i = 0; i < n; i++) { r.v[i] = p[i]; }
    return r;
}
TP_INLINE void tp_vs_store_part(float *p, tp_vs a, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) { p[i] = a.v[i]; }
}
TP_INLINE tp_vs tp_vs_add(tp_vs a, tp_vs b) {
    for (uint32_t i = 0; i < 8; i++) { a.v[i] += b.v[i]; }
    return a;
}
TP_INLINE tp_vs tp_vs_abs(tp_vs a) {
    for (uint32_t i = 0; i < 8; i++) { a.v[i] = tp_abs(a.v[i]); }
    return a;
}
TP_INLINE tp_vs tp_vs_select(bool first, tp_vs a, tp_vs b) { return first ? a : b; }
TP_INLINE float tp_vs_sum(tp_vs a) {
    return ((a.v[0] + a.v[4]) + (a.v[2] + a.v[6])) + ((a.v[1] + a.v[5]) + (a.v[3] + a.v[7]));
}
#endif

TP_INLINE tp_vs TP_K(vs_fma)(tp_vs a, tp_vs b, tp_vs c) {
    for (uint32_t i = 0; i < 8; i++) { c.v[i] = TP_FMA(a.v[i], b.v[i], c.v[i]); }
    return c;
}
TP_INLINE tp_vs TP_K(vs_fma_part)(tp_vs a, tp_vs b, tp_vs c, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) { c.v[i] = TP_FMA(a.v[i], b.v[i], c.v[i]); }
    return c;
}
