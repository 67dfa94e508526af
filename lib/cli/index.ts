// SPDX-License-Identifier: Apache-2.0
import { Command, CommanderError, Option } from 'commander';
import { TinypropError } from '../errors';
import { firmwareTargets } from '../export';
import { packageVersion } from '../package';
import { budgets, defaultMethods, methods, sets } from '../reproduce';
import { modelSpecs } from '../specs';
import { type CompareFlags, compareCommand } from './compare';
import type { CommandResult, Context } from './context';
import { dataGetCommand, dataListCommand, dataVerifyCommand } from './data';
import { type DemoFlags, demoCommand } from './demo';
import { type EvalFlags, evalCommand } from './eval';
import { errorCodeOf, exitCodeOf, exitCodes } from './exit';
import { type ExportFlags, exportCommand } from './export';
import { type FirmwareExportFlags, firmwareExportCommand, firmwareVerifyCommand } from './firmware';
import * as flag from './flags';
import { fileInfoCommand, infoCommand } from './info';
import { withInterrupt } from './interrupt';
import { Output, type OutputOptions, type Streams } from './output';
import { type PlanFlags, planCommand } from './plan';
import { type PredictFlags, predictCommand } from './predict';
import { comparedMethods, policyNames } from './recipe';
import { type QuantizeFlags, quantizeCommand } from './quantize';
import { type ReproduceFlags, reproduceCommand } from './reproduce';
import { type ReplayFlags, replayCommand } from './replay';
import { type TrainFlags, trainCommand } from './train';
import { defaultTolerance, type TuneFlags, tuneCommand } from './tune';

type Action = (context: Context, command: Command, args: string[]) => CommandResult;
type Register = (command: Command, action: Action) => void;

const modelHelp = [...modelSpecs.map((m) => m.spec), 'FILE.tflite', 'FILE.safetensors'].join(', ');

/**
 * Runs the command line.
 *
 * @param argv arguments without the program's name
 * @param streams where to write; default the process
 * @returns the exit code (docs/cli.md); never throws for a mistake of the caller
 */
export async function main(argv: readonly string[], streams: Streams = process): Promise<number> {
  let code: number = exitCodes.ok;
  // Known before parsing, so that a wrong flag is reported in the form asked for.
  if (streams === process) endWithReader();
  const json = argv.includes('--json');
  let out = new Output(streams, { json, jsonl: !json && argv.includes('--jsonl') });
  const register: Register = (command, action) => {
    command.action(async (...parameters: unknown[]) => {
      out = new Output(streams, command.opts<OutputOptions>());
      const args = parameters.slice(0, -2).filter((p): p is string => typeof p === 'string');
      code = await withInterrupt(out, (signal) => action({ out, signal, argv }, command, args));
    });
  };
  const program = build(register, streams);
  if (argv.length === 0) {
    program.outputHelp();
    return code;
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    return fail(error, out);
  }
}

/** `tinyprop predict ... | head`: the reader has what it wants, which is no error. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(exitCodes.ok);
  });
}

/** Prints an error once, in the form asked for. */
function fail(error: unknown, out: Output): number {
  const code = exitCodeOf(error);
  if (code === exitCodes.ok) return code;
  const message = error instanceof Error ? error.message : String(error);
  const text = message.replace(/^error: /, '');
  const value = { error: { code: errorCodeOf(error), message: text, exitCode: code } };
  out.document(value);
  out.event({ type: 'error', ...value });
  // commander has printed its own already.
  if (!(error instanceof CommanderError)) out.error(`tinyprop: ${text}`);
  if (code === exitCodes.unexpected && !(error instanceof TinypropError) && error instanceof Error && process.env['TINYPROP_DEBUG']) out.error(error.stack ?? '');
  return code;
}

function build(register: Register, streams: Streams): Command {
  const program = new Command('tinyprop')
    .description('Trains small neural networks with sparse back-propagation: TinyPropv2, TinyProp, meProp.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'tinyprop: ')),
    })
    .showSuggestionAfterError()
    .addHelpText('after', '\nExit codes: 0 ok, 1 unexpected, 2 usage, 3 unsupported, 4 does not fit, 5 mismatch, 6 damaged file, 130 interrupted.\nMore: docs/cli.md');
  for (const add of [addDemo, addTrain, addEval, addPredict, addQuantize, addCompare, addTune, addReproduce, addPlan, addReplay, addExport, addFirmware, addData, addInfo]) add(program, register);
  return program;
}

function addDemo(program: Command, register: Register): void {
  const command = program.command('demo').description('compare all methods on handwritten digits; writes report.html');
  command
    .option('--seeds <n>', 'seeds 1 to n', flag.integerFlag(1), 5)
    .option('--epochs <n>', 'passes over the training samples', flag.integerFlag(1), 30)
    .option('--report <file>', 'where the report goes', 'report.html')
    .option('--no-report', 'write no report');
  flag.addOutputFlags(command, true);
  register(command, (context) => demoCommand(command.opts<DemoFlags>(), context));
}

function addTrain(program: Command, register: Register): void {
  const command = program.command('train').description('train a model and save it');
  flag.addDataFlags(command, true);
  command
    .option('--model <spec>', modelHelp)
    .option('--input <shape>', 'with the FILE.json of a network in int8: another input than its own, such as 96x96x3', flag.shapeFlag)
    .option('--policy <name>', policyNames.join(', '), 'tinypropv2')
    .option('--seed <n>', 'seed of weights, order and dropout', flag.integerFlag(0), 1)
    .option('--out <file>', 'write model, weights and training state')
    .option('--record <file>', 'write a log of every step, for tinyprop replay')
    .option('--metrics <file>', 'write one JSON object a line: the run, every epoch, the result')
    .option('--tensorboard <dir>', 'write curves for TensorBoard')
    .option('--report <file>', 'write a report (HTML, one file); needs vega and vega-lite')
    .addOption(new Option('--init <file>', 'start from the weights of this model').conflicts('resume'))
    .option('--resume <file>', 'continue an interrupted training to the same bits')
    .addOption(new Option('--freeze <names>', 'names of nodes (NODE.weight: all but its bias), or all-but-last:N').argParser(flag.freezeFlag).conflicts('resume'))
    .addOption(new Option('--replace-head <classes>', 'new last layer for so many classes').argParser(flag.integerFlag(1)).conflicts('resume'));
  flag.addCacheFlag(flag.addThreadsFlag(command));
  flag.addPreparationFlags(flag.addPolicyFlags(flag.addRecipeFlags(command)));
  flag.addOutputFlags(command, true);
  register(command, (context) => {
    const flags = command.opts<TrainFlags>();
    const explicit = new Set(Object.keys(flags).filter((key) => command.getOptionValueSource(key) === 'cli'));
    return trainCommand(flags, explicit, context);
  });
}

function addEval(program: Command, register: Register): void {
  const command = program.command('eval').description('accuracy, loss and confusion matrix of a saved model');
  command.requiredOption('--model <file>', 'model file');
  flag.addDataFlags(command, true);
  command.addOption(new Option('--split <part>', 'which part of the data').choices(['test', 'train']).default('test'));
  flag.addThreadsFlag(command);
  flag.addOutputFlags(command, true);
  register(command, (context) => evalCommand(command.opts<EvalFlags>(), context));
}

function addPredict(program: Command, register: Register): void {
  const command = program.command('predict').description('outputs of a saved model for every sample');
  command.requiredOption('--model <file>', 'model file');
  flag.addDataFlags(command, false);
  command
    .addOption(new Option('--input <file>', 'samples as .npy, [n, ...input], not normalised').conflicts('data'))
    .addOption(new Option('--split <part>', 'which part of the data').choices(['test', 'train']).default('test'));
  flag.addOutputFlags(command, true);
  register(command, (context) => {
    const flags = command.opts<PredictFlags>();
    if (flags.data === undefined && flags.input === undefined) throw new TinypropError('ERR_TINYPROP_SPEC', 'predict needs --data SPEC or --input FILE.npy');
    return predictCommand(flags, context);
  });
}

function addQuantize(program: Command, register: Register): void {
  const command = program.command('quantize').description('make an int8 model of a trained one; accuracy and size of both, noise of every layer');
  command.requiredOption('--model <file>', 'model file of floats').requiredOption('--out <file>', 'int8 model to write');
  flag.addDataFlags(command, true);
  command
    .option('--samples <n>', 'training samples to take the ranges of activations from', flag.integerFlag(1), 500)
    .option('--percentile <p>', 'ranges end at this percentile of the values (100: at the outermost)', flag.numberFlag('a number above 50, at most 100', (v) => v > 50 && v <= 100));
  flag.addThreadsFlag(command);
  flag.addOutputFlags(command, true);
  register(command, (context) => quantizeCommand(command.opts<QuantizeFlags>(), context));
}

function addCompare(program: Command, register: Register): void {
  const command = program.command('compare').description('train every method with every seed; table, JSON, report');
  flag.addDataFlags(command, true);
  command
    .requiredOption('--model <spec>', `${modelHelp}, or FILE.tpm: all start from its weights`)
    .option('--methods <list>', policyNames.join(', '), flag.listFlag('names of methods separated by commas'), [...comparedMethods])
    .option('--seeds <n>', 'seeds 1 to n', flag.integerFlag(1), 3)
    .option('--report <file>', 'also write a report (HTML, one file)')
    .option('--jobs <n>', 'runs at the same time; more than 1 disturbs the times', flag.integerFlag(1), 1);
  flag.addCacheFlag(flag.addThreadsFlag(command));
  flag.addPreparationFlags(flag.addPolicyFlags(flag.addRecipeFlags(command)));
  flag.addOutputFlags(command, true);
  register(command, (context) => compareCommand(command.opts<CompareFlags>(), context));
}

function addTune(program: Command, register: Register): void {
  const command = program.command('tune').description('choose tau and S of TinyPropv2 by short trainings, judged on held-out training samples');
  flag.addDataFlags(command, true);
  command
    .requiredOption('--model <spec>', `${modelHelp}, or FILE.tpm: trials start from its weights`)
    .option('--seed <n>', 'seed of weights, order and held-out samples', flag.integerFlag(0), 1)
    .option('--tolerance <points>', 'points of accuracy that it may cost', flag.numberFlag('a number from 0 to 100', (v) => v >= 0 && v <= 100), defaultTolerance)
    .addOption(new Option('--normalize <mode>', 'none, mean (images: the default) or standard').choices(['none', 'mean', 'standard']));
  flag.addThreadsFlag(command);
  flag.addRecipeFlags(command, 3);
  flag.addOutputFlags(command, true);
  register(command, (context) => tuneCommand(command.opts<TuneFlags>(), context));
}

function addReproduce(program: Command, register: Register): void {
  const command = program.command('reproduce').description('the table of the paper: every method on its eight data sets; goes on where it stopped');
  command
    .option('--data-root <dir>', 'folder of the data sets; may be given several times', (dir: string, all: string[]) => [...all, dir], [])
    .requiredOption('--out <dir>', 'folder of the results; finished runs in it are kept')
    .addOption(new Option('--budget <name>', 'minutes, hours, or the paper\'s 200 epochs').choices([...budgets]).default('quick'))
    .option('--only <list>', sets.map(({ name }) => name).join(', '), flag.listFlag('names of data sets separated by commas'))
    .option('--methods <list>', methods.map(({ name }) => name).join(', '), flag.listFlag('names of methods separated by commas'), defaultMethods)
    .option('--seeds <n>', 'seeds 1 to n, instead of the budget\'s', flag.integerFlag(1))
    .option('--weights <file>', 'MobileNetV2 of width 0.35 as safetensors, for sets of images (one below --data-root)')
    .option('--report <file>', 'one HTML file about all results, without script or network (needs vega and vega-lite)')
    .option('--notes <file>', 'Markdown with sections "## SET" and "## summary", taken into summary.md and the report')
    .option('--shard <i/n>', 'the i-th of n parts; all write into one folder, or are copied into one', flag.shardFlag, { index: 1, count: 1 })
    .option('--jobs <n>', 'trainings at the same time', flag.integerFlag(1), 1)
    .option('--no-run', 'train nothing: summary and report of what is in --out, whichever version made it');
  flag.addOutputFlags(command, true);
  register(command, (context) => reproduceCommand(command.opts<ReproduceFlags>(), context));
}

function addPlan(program: Command, register: Register): void {
  const command = program.command('plan').description('RAM, flash and work of a model; exit code 4 if it exceeds a budget');
  command
    .requiredOption('--model <spec>', `${modelHelp}, or FILE.tpm`)
    .option('--input <shape>', 'input shape of specs that leave it open, and of a network in int8 as FILE.json, such as 96x96x3', flag.shapeFlag)
    .option('--classes <n>', 'classes of specs that leave them open', flag.integerFlag(1))
    .option('--policy <name>', policyNames.join(', '), 'tinypropv2')
    .option('--batch <n>', 'samples per optimizer step', flag.integerFlag(1), 1)
    .option('--momentum <mu>', 'momentum (needs memory for it)', flag.numberFlag('a number from 0 to below 1', (v) => v >= 0 && v < 1), 0)
    .option('--freeze <names>', 'names of nodes (NODE.weight: all but its bias), or all-but-last:N', flag.freezeFlag)
    .option('--inference', 'plan for inference only')
    .option('--frozen-in-flash', 'parameters that do not train stay in the model file in flash')
    .option('--int8-samples', 'samples are int8, as the model\'s first operation would make them')
    .option('--ram <size>', 'RAM budget, such as 64K', flag.bytesFlag)
    .option('--flash <size>', 'flash budget for the model and its store, such as 1M', flag.bytesFlag);
  flag.addStoreFlags(command);
  flag.addPolicyFlags(command);
  flag.addOutputFlags(command, false);
  register(command, (context) => planCommand(command.opts<PlanFlags>(), context));
}

function addExport(program: Command, register: Register): void {
  const command = program.command('export').description('write trained weights back into the .tflite file that the model came from, or as safetensors');
  command
    .requiredOption('--model <file>', 'trained model file')
    .option('--tflite <file>', 'the original, to be patched')
    .requiredOption('--out <file>', 'the patched file, or FILE.safetensors');
  flag.addOutputFlags(command, false);
  register(command, (context) => exportCommand(command.opts<ExportFlags>(), context));
}

function addFirmware(program: Command, register: Register): void {
  const firmware = program.command('firmware').description('a model as a project that trains on a microcontroller: export, verify');
  const make = firmware.command('export').description('write sources, model, example program and manifests of one ecosystem');
  make
    .requiredOption('--model <file>', 'model file')
    .addOption(new Option('--for <target>', 'the ecosystem').choices(firmwareTargets).makeOptionMandatory())
    .requiredOption('--out <dir>', 'folder to write; must be absent or empty')
    .addOption(new Option('--model-as <form>', 'a C array, or a file for the assembler').choices(['array', 'bin']).default('array'))
    .option('--force', 'replace an earlier export, with all that lies in its folder')
    .option('--policy <name>', policyNames.join(', '), 'tinypropv2')
    .option('--seed <n>', 'seed of dropout', flag.integerFlag(0), 1)
    .option('--no-strings', 'leave the names of errors out of the image')
    .option('--int8-samples', 'samples reach the program as int8, a quarter of the RAM')
    .option('--cmsis-nn', 'link CMSIS-NN, which the project must have; for int8 layers');
  flag.addDataFlags(make, false);
  flag.addPolicyFlags(flag.addOptimizerFlags(make));
  flag.addOutputFlags(make, false);
  register(make, (context) => firmwareExportCommand(make.opts<FirmwareExportFlags>(), context));
  const verify = firmware.command('verify').description('compare an export with this package; exit code 5 if it differs').argument('<dir>');
  verify.option('--model <file>', 'the model that must be inside');
  flag.addOutputFlags(verify, false);
  register(verify, (context, command, [folder]) => firmwareVerifyCommand(folder as string, command.opts<{ model?: string }>(), context));
}

function addReplay(program: Command, register: Register): void {
  const command = program.command('replay').description('take the steps of a log again; the first one that differs, exit code 5').argument('<log>');
  command.requiredOption('--model <file>', 'model file that the training started from; any of that graph if it started from the seed');
  flag.addDataFlags(command, false);
  command
    .addOption(new Option('--split <part>', 'which part of the data').choices(['test', 'train']).default('train'))
    .option('--other-source', 'go on though the log was written by other sources');
  flag.addOutputFlags(command, true);
  register(command, (context, _command, [log]) => replayCommand(log as string, command.opts<ReplayFlags>(), context));
}

function addData(program: Command, register: Register): void {
  const data = program.command('data').description('public data sets: list, get, verify');
  const list = data.command('list').description('what can be downloaded, and the forms of --data');
  flag.addOutputFlags(list, true);
  register(list, (context) => dataListCommand(context));
  const get = data.command('get').description('download a data set into the cache; prints its --data spec').argument('<name>');
  get.option('--mirror <url>', 'take the files from there; checksums still hold');
  flag.addOutputFlags(get, true);
  register(get, (context, command, [name]) => dataGetCommand(name as string, command.opts<{ mirror?: string }>(), context));
  const verify = data.command('verify').description('read the cached files again and compare checksums').argument('<name>');
  flag.addOutputFlags(verify, true);
  register(verify, (context, _command, [name]) => dataVerifyCommand(name as string, context));
}

function addInfo(program: Command, register: Register): void {
  const command = program.command('info').description('what a model file, or this build, contains').argument('[file]');
  flag.addOutputFlags(command, false);
  register(command, (context, _command, [file]) => (file === undefined ? infoCommand(context) : fileInfoCommand(file, context)));
}
