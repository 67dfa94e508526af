// SPDX-License-Identifier: Apache-2.0
export { errorCodes, TinypropError, type ErrorCode } from './errors';
