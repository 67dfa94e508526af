// SPDX-License-Identifier: Apache-2.0
import { facts } from './addon';

/** One row of a list of the core. */
export interface DescribedRow {
  /** Name in the core's spelling (`max_pool2d`). */
  readonly name: string;
  /** Wire id, as model files hold it; status: its number; 0 where there is none. */
  readonly id: number;
}

/** What this build of the core contains. */
export interface Description {
  /** Version of the core, equal to the package's. */
  readonly version: string;
  /** Hash of the C sources: host and firmware of the same id give the same bits. */
  readonly sourceId: string;
  /** Name of the kernels that this machine uses. */
  readonly kernels: string;
  /** Operations of a model. */
  readonly layers: readonly DescribedRow[];
  /** Losses. */
  readonly losses: readonly DescribedRow[];
  /** Policies. */
  readonly policies: readonly DescribedRow[];
  /** Optimizers. */
  readonly optimizers: readonly DescribedRow[];
  /** Presets of policy parameters. */
  readonly presets: readonly DescribedRow[];
  /** Kernels: the arithmetic that every instruction set implements. */
  readonly kernelList: readonly DescribedRow[];
  /** Instruction sets that were compiled in. */
  readonly isas: readonly DescribedRow[];
  /** Statuses of the C functions. */
  readonly statuses: readonly DescribedRow[];
  /** What a model cannot exceed. */
  readonly limits: {
    /** Bytes of a node's name. */
    readonly nameBytes: number;
    /** Nodes of a model. */
    readonly nodes: number;
    /** Weight layers of a model. */
    readonly layers: number;
  };
}

/**
 * Everything the core's lists contain, asked from the addon itself.
 *
 * @throws TinypropError `ERR_TINYPROP_NATIVE` if the addon cannot be loaded
 */
export function describe(): Description {
  const { lists, constants, version, sourceId, kernels } = facts();
  const limit = (name: string): number => constants['limit']?.[name] ?? 0;
  return {
    version,
    sourceId,
    kernels,
    layers: lists.layer,
    losses: lists.loss,
    policies: lists.policy,
    optimizers: lists.optimizer,
    presets: lists.preset,
    kernelList: lists.kernel,
    isas: lists.isa,
    statuses: lists.status,
    limits: { nameBytes: limit('nameBytes'), nodes: limit('nodes'), layers: limit('layers') },
  };
}
