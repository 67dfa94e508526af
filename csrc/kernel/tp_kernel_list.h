/* SPDX-License-Identifier: Apache-2.0 */
/* One row per kernel: name, result, parameters. Prototypes, tables, the exactness test and the benchmark expand it.
 * Orders and roundings: docs/NUMERICS.md. W is [out][in]. */
#ifdef TP_KERNEL
#ifndef TP_KERNEL_DOT /* those that an instruction for sums of int8 products makes faster: a row of its own for who tells them apart */
#define TP_KERNEL_DOT TP_KERNEL
#endif
/* dense layer, n samples: y[s][i] = (tree(sum_j w[i][j] x[s][j]) + b[i]) + 0; b may be NULL */
TP_KERNEL(dense_f32, void, (float *y, const float *w, const float *x, const float *b, uint32_t n_out, uint32_t n_in, uint32_t n))
/* dx[s] = sum_i d[s][i] w[i], i ascending, + 0. `zeros`, here and below: do the work of zero errors too; what they give never counts */
TP_KERNEL(dense_dx_f32, void, (float *dx, const float *d, const float *w, uint32_t n_out, uint32_t n_in, uint32_t n, bool zeros))
/* gradient rows first .. first + rows, g[i] = (g[i] + sum_s d[s][i] x[s], s ascending) + 0; rows whose errors are all 0 are left
 * alone. g NULL: starts at +0, and w = fma(c, that, w) at once. g and w point at row `first` */
TP_KERNEL(dense_dw_f32, void, (float *g, float *w, float c, const float *x, const float *d, uint32_t n_out, uint32_t n_in, uint32_t n, uint32_t first, uint32_t rows, bool zeros))
/* one sample, plain SGD, one pass over W: dx (may be NULL) as by dense_dx_f32, then w[i] = fma(-(lr d[i]), x, w[i]) wherever d[i] is
 * not 0 */
TP_KERNEL(dense_sgd_f32, void, (float *dx, float *w, const float *x, const float *d, float lr, uint32_t n_out, uint32_t n_in, bool zeros))
/* sum |x|, P = 8 */
TP_KERNEL(asum_f32, float, (const float *x, uint32_t n))
/* no NaN, no infinity */
TP_KERNEL(finite_f32, bool, (const float *x, uint32_t n))
/* y = fma(a, x, y) */
TP_KERNEL(axpy_f32, void, (float *y, float a, const float *x, uint32_t n))
/* y += x */
TP_KERNEL(add_f32, void, (float *y, const float *x, uint32_t n))
/* y += +0: turns -0 into +0, ends an accumulator */
TP_KERNEL(finish_f32, void, (float *y, uint32_t n))
/* w = fma(c, g + 0, w) */
TP_KERNEL(sgd_f32, void, (float *w, float c, const float *g, uint32_t n))
/* v = fma(m, v, g + 0); w = fma(c, v, w) */
TP_KERNEL(momentum_f32, void, (float *w, float *v, float m, float c, const float *g, uint32_t n))
/* elements with bits(|x|) > bits */
TP_KERNEL(count_above_f32, uint32_t, (const float *x, uint32_t bits, uint32_t n))
/* all but the `keep` largest |x|, compared as bits, become +0; of equals the first stay; zeros, -0 too, always become +0. Returns how
 * many stay */
TP_KERNEL(top_f32, uint32_t, (float *x, uint32_t n, uint32_t keep))
/* score[c] = sum over positions |x[p][c]|, P = 1 */
TP_KERNEL(channel_asum_f32, void, (float *score, const float *x, uint32_t positions, uint32_t channels))
/* db[c] += x[p][c], positions ascending */
TP_KERNEL(channel_sum_f32, void, (float *db, const float *x, uint32_t positions, uint32_t channels))
/* x[p][c] = +0 wherever score[c] is zero */
TP_KERNEL(mask_channels_f32, void, (float *x, const float *score, uint32_t positions, uint32_t channels))
/* y = x <= lo ? lo : x >= hi ? hi : x, lo = 0; NaN passes */
TP_KERNEL(clamp_f32, void, (float *y, const float *x, float hi, uint32_t n))
TP_KERNEL(leaky_f32, void, (float *y, const float *x, float slope, uint32_t n))
TP_KERNEL(sigmoid_f32, void, (float *y, const float *x, uint32_t n))
TP_KERNEL(tanh_f32, void, (float *y, const float *x, uint32_t n))
/* derivatives from the output; all return sum |d| of the result, P = 8: d = 0 < y < hi ? d : 0; d = y > 0 ? d : slope d;
 * d *= y (1 - y); d *= 1 - y y */
TP_KERNEL(clamp_back_f32, float, (float *d, const float *y, float hi, uint32_t n))
TP_KERNEL(leaky_back_f32, float, (float *d, const float *y, float slope, uint32_t n))
TP_KERNEL(sigmoid_back_f32, float, (float *d, const float *y, uint32_t n))
TP_KERNEL(tanh_back_f32, float, (float *d, const float *y, uint32_t n))
/* softmax of z, of which `top` is the largest, n > 0; returns log(sum exp(z - top)); p may be NULL */
TP_KERNEL(softmax_f32, float, (float *p, const float *z, float top, uint32_t n))
/* sum over outputs of log(1 + exp(z)) - t z, P = 8; d = sigmoid(z) - t, may be NULL */
TP_KERNEL(bce_f32, float, (float *d, const float *z, const float *t, uint32_t n))
/* sum (z - t)^2, P = 8; d = s (z - t), may be NULL, else *l1 = sum |d|, P = 8 */
TP_KERNEL(mse_f32, float, (float *d, float *l1, const float *z, const float *t, float s, uint32_t n))
/* convolutions of n samples, depthwise ones (groups = c_in) too; errors are finite. scratch: tp_conv_scratch(g) words, or NULL:
 * the form that needs none */
TP_KERNEL(conv_f32, void, (const tp_conv *g, uint32_t n, float *y, const float *x, const float *w, const float *b, uint32_t *scratch))
/* dx = sum over (oy, ox, o) ascending, + 0 */
TP_KERNEL(conv_dx_f32, void, (const tp_conv *g, uint32_t n, float *dx, const float *d, const float *w, bool zeros, uint32_t *scratch))
/* as dense_dw_f32, for output channels first .. first + rows; over samples, then positions ascending */
TP_KERNEL(conv_dw_f32, void, (const tp_conv *g, uint32_t n, float *grad, float *w, float c, const float *x, const float *d, uint32_t first, uint32_t rows, bool zeros, uint32_t *scratch))
/* one sample, plain SGD: conv_dx_f32, then w by conv_dw_f32 with all rows at once */
TP_KERNEL(conv_sgd_f32, void, (const tp_conv *g, float *dx, float *w, float c, const float *x, const float *d, bool zeros, uint32_t *scratch))
/* any[c] != 0 iff some x[p][c] is not a zero */
TP_KERNEL(channel_any_f32, void, (uint32_t *any, const float *x, uint32_t positions, uint32_t channels))
/* int8 as in TensorFlow Lite, exact: y = clamp(requantize(b + sum (x - x_zero) w) + y_zero), sums in int32 that wrap */
TP_KERNEL_DOT(dense_s8, void, (int8_t *y, const int8_t *w, const int8_t *x, const int32_t *b, const tp_requant *q, uint32_t n_out, uint32_t n_in, uint32_t n))
/* groups = 1, W [out][kh][kw][in]; padding adds nothing. scratch: tp_conv_s8_scratch(g) words, or NULL: the form that needs none */
TP_KERNEL_DOT(conv_s8, void, (const tp_conv *g, uint32_t n, int8_t *y, const int8_t *x, const int8_t *w, const int32_t *b, const tp_requant *q, uint32_t *scratch))
/* groups = c_in, W [kh][kw][out]; output channel o reads input channel o / (c_out / c_in) */
TP_KERNEL(depthwise_s8, void, (const tp_conv *g, uint32_t n, int8_t *y, const int8_t *x, const int8_t *w, const int32_t *b, const tp_requant *q, uint32_t *scratch))
TP_KERNEL(clamp_s8, void, (int8_t *y, const int8_t *x, int32_t lo, int32_t hi, uint32_t n))
/* y = clamp(requantize(requantize((a - a_zero) << 20) + requantize((b - b_zero) << 20)) + y_zero) */
TP_KERNEL(add_s8, void, (int8_t *y, const int8_t *a, const int8_t *b, const tp_add_s8 *q, uint32_t n))
/* of the inputs under each window, groups = c_in = c_out; padding takes no part. The mean's halves go away from zero; scratch: c_in words */
TP_KERNEL(max_pool_s8, void, (const tp_conv *g, int8_t *y, const int8_t *x))
TP_KERNEL(avg_pool_s8, void, (const tp_conv *g, int8_t *y, const int8_t *x, uint32_t *scratch))
/* of n inputs, in fixed point (tp_softmax_s8.h); output scale 1/256, zero -128 */
TP_KERNEL(softmax_s8, void, (int8_t *y, const int8_t *x, const tp_softmax_s8 *q, uint32_t n))
/* y = clamp(round(x / scale) + zero), half away from zero; NaN becomes 127. x = scale (y - zero) */
TP_KERNEL(quantize_s8, void, (int8_t *y, const float *x, float scale, int32_t zero, uint32_t n))
TP_KERNEL(dequantize_s8, void, (float *y, const int8_t *x, float scale, int32_t zero, uint32_t n))
/* d = lo < y < hi ? d : 0; returns sum |d| of the result, P = 8 */
TP_KERNEL(clamp_back_s8, float, (float *d, const int8_t *y, int32_t lo, int32_t hi, uint32_t n))
/* errors through int8 weights, scale[o] that of W's channel: e = d scale[o], rounded; dx = sum of fma(e, w, dx), i or (oy, ox, o)
 * ascending, + 0. Errors of 0 give nothing. W as in conv_s8, in depthwise_s8. scratch, here and below: tp_conv_back_s8_scratch(g) words, or NULL */
TP_KERNEL(dense_dx_s8, void, (float *dx, const float *d, const int8_t *w, const float *scale, uint32_t n_out, uint32_t n_in, uint32_t n, uint32_t *scratch))
TP_KERNEL(conv_dx_s8, void, (const tp_conv *g, uint32_t n, float *dx, const float *d, const int8_t *w, const float *scale, uint32_t *scratch))
TP_KERNEL(depthwise_dx_s8, void, (const tp_conv *g, uint32_t n, float *dx, const float *d, const int8_t *w, const float *scale, uint32_t *scratch))
/* gradient rows first .. first + rows, [out][kh][kw][in/groups]: g = fma(d, x - x_zero, g), samples, then positions ascending, + 0;
 * rows whose errors are all 0 are left alone. grad points at row `first`. A dense layer is a map of 1 x 1 */
TP_KERNEL(conv_dw_s8, void, (const tp_conv *g, uint32_t n, float *grad, const int8_t *x, int32_t x_zero, const float *d, uint32_t first, uint32_t rows, uint32_t *scratch))
/* w = clamp(round(w - decay w + c g), -127, 127), weights `step` apart; one rounding an operation, the last as q says (tp_rounding.h) */
TP_KERNEL(sgd_s8, void, (int8_t *w, uint32_t step, float c, float decay, const float *g, const tp_rounding *q, uint32_t n))
#undef TP_KERNEL_DOT
#endif
