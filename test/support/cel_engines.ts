/** The two CEL engines that were compared, each held against the cases of the specification. */
import * as buf from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import { create } from "@bufbuild/protobuf";
import { isReflectMessage } from "@bufbuild/protobuf/reflect";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Environment } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { compileExpression } from "../../src/policy/cel/environment.ts";
import { NANOS, Duration as OurDuration, Timestamp, type Value } from "../../src/policy/cel/values.ts";
import type { CelCase, CelValue, Outcome } from "./cel_suite.ts";

/** `@marcbachmann/cel-js`, in an environment made by `environment`; `refuse` may say that a condition cannot be written. */
export function runCelJs(
  one: CelCase,
  environment: () => Environment,
  refuse: (parsed: ReturnType<Environment["parse"]>) => string | null = () => null,
): Outcome {
  try {
    const env = environment();
    for (const [name, type] of Object.entries(one.variables)) {
      if (type === null) return { type: "error", error: `type of ${name}` };
      env.registerVariable(name, type);
    }
    const parsed = env.parse(one.expr);
    const checked = parsed.check();
    if (!checked.valid) return { type: "error", error: String(checked.error) };
    const refused = refuse(parsed);
    if (refused !== null) return { type: "error", error: refused };
    const context = Object.fromEntries(
      Object.entries(one.bindings).map(([name, value]) => [name, toCelJs(value)]),
    );
    return { type: "value", value: fromCelJs(parsed(context)) };
  } catch (thrown) {
    return { type: "error", error: String(thrown) };
  }
}

function toCelJs(value: CelValue): unknown {
  switch (value.type) {
    case "null":
      return null;
    case "uint":
      return new (UnsignedInt as unknown as new (value: bigint) => UnsignedInt)(value.value);
    case "list":
      return value.values.map(toCelJs);
    case "map":
      return new Map(value.entries.map(([key, held]) => [toCelJs(key), toCelJs(held)]));
    case "timestamp":
      return new Date(Number(value.seconds) * 1000 + value.nanos / 1e6);
    case "duration":
      return new (Duration as unknown as new (seconds: bigint, nanos: number) => Duration)(
        value.seconds,
        value.nanos,
      );
    case "type":
    case "other":
      throw new Error(`no such value: ${value.name}`);
    default:
      return value.value;
  }
}

function fromCelJs(value: unknown): CelValue {
  if (value === null) return { type: "null" };
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "bigint") return { type: "int", value };
  if (typeof value === "number") return { type: "double", value };
  if (typeof value === "string") return { type: "string", value };
  if (value instanceof Uint8Array) return { type: "bytes", value };
  if (Array.isArray(value)) return { type: "list", values: value.map(fromCelJs) };
  if (value instanceof UnsignedInt) return { type: "uint", value: BigInt(value.valueOf()) };
  if (value instanceof Duration)
    return { type: "duration", seconds: BigInt(value.seconds), nanos: value.nanos };
  if (value instanceof Date) {
    const seconds = Math.floor(value.getTime() / 1000);
    return { type: "timestamp", seconds: BigInt(seconds), nanos: (value.getTime() - seconds * 1000) * 1e6 };
  }
  if (value instanceof Map) {
    return { type: "map", entries: [...value].map(([key, held]) => [fromCelJs(key), fromCelJs(held)]) };
  }
  if (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return {
      type: "map",
      entries: Object.entries(value).map(([key, held]) => [{ type: "string", value: key }, fromCelJs(held)]),
    };
  }
  return { type: "type", name: String(value).replace(/^Type<(.*)>$/, "$1") };
}

/** `@bufbuild/cel` with its string functions. */
export function runBuf(one: CelCase): Outcome {
  try {
    const env = buf.celEnv({ namespace: one.container, funcs: strings });
    const context = Object.fromEntries(
      Object.entries(one.bindings).map(([name, value]) => [name, toBuf(value)]),
    );
    const result = buf.plan(env, buf.parse(one.expr))(context);
    if (buf.isCelError(result)) return { type: "error", error: result.message };
    return { type: "value", value: fromBuf(result) };
  } catch (thrown) {
    return { type: "error", error: String(thrown) };
  }
}

function toBuf(value: CelValue): buf.CelInput {
  switch (value.type) {
    case "null":
      return null;
    case "uint":
      return buf.celUint(value.value);
    case "list":
      return value.values.map(toBuf);
    case "map":
      return new Map(value.entries.map(([key, held]) => [toBuf(key), toBuf(held)])) as buf.CelInput;
    case "timestamp":
      return create(TimestampSchema, { seconds: value.seconds, nanos: value.nanos });
    case "duration":
      return create(DurationSchema, { seconds: value.seconds, nanos: value.nanos });
    case "type":
    case "other":
      throw new Error(`no such value: ${value.name}`);
    default:
      return value.value;
  }
}

interface SpanMessage {
  readonly $typeName: string;
  readonly seconds?: bigint;
  readonly nanos?: number;
}

function fromBuf(value: buf.CelValue): CelValue {
  if (value === null) return { type: "null" };
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "bigint") return { type: "int", value };
  if (typeof value === "number") return { type: "double", value };
  if (typeof value === "string") return { type: "string", value };
  if (value instanceof Uint8Array) return { type: "bytes", value };
  if (buf.isCelUint(value)) return { type: "uint", value: value.value };
  if (buf.isCelList(value)) return { type: "list", values: [...value].map(fromBuf) };
  if (buf.isCelMap(value)) {
    return { type: "map", entries: [...value].map(([key, held]) => [fromBuf(key), fromBuf(held)]) };
  }
  if (buf.isCelType(value)) return { type: "type", name: value.name };
  if (isReflectMessage(value)) {
    const { $typeName, seconds = 0n, nanos = 0 } = value.message as unknown as SpanMessage;
    if ($typeName === TimestampSchema.typeName) return { type: "timestamp", seconds, nanos };
    if ($typeName === DurationSchema.typeName) return { type: "duration", seconds, nanos };
  }
  return { type: "other", name: "message" };
}

/** Our own evaluation, with the compiler of conditions but for the variables. */
export function runOurs(one: CelCase): Outcome {
  const names = Object.keys(one.variables);
  // Names with dots need a container to be looked up in, and conditions have none.
  if (names.some((name) => name.includes("."))) return { type: "error", error: "names with dots" };
  const compiled = compileExpression(one.expr, {
    variables: names.map((name) => [name, one.variables[name] ?? "dyn"]),
    checkTypes: !one.unchecked,
  });
  if (compiled.type === "invalid") return { type: "error", error: compiled.problem };
  try {
    const slots = names.map((name) => {
      const bound = one.bindings[name];
      if (bound === undefined) throw new Error(`${name} is not bound`);
      return toOurs(bound);
    });
    return { type: "value", value: fromOurs(compiled.evaluate({ slots, left: 1_000_000 })) };
  } catch (thrown) {
    return { type: "error", error: String(thrown) };
  }
}

function toOurs(value: CelValue): Value {
  switch (value.type) {
    case "null":
      return null;
    case "list":
      return value.values.map(toOurs);
    case "map":
      return new Map(value.entries.map(([key, held]) => [toOurs(key), toOurs(held)]));
    case "timestamp":
      return new Timestamp(value.seconds * NANOS + BigInt(value.nanos));
    case "duration":
      return new OurDuration(value.seconds * NANOS + BigInt(value.nanos));
    case "bool":
    case "int":
    case "double":
    case "string":
      return value.value;
    default:
      throw new Error(`no such value: ${value.type}`);
  }
}

function fromOurs(value: Value): CelValue {
  if (value === null) return { type: "null" };
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "bigint") return { type: "int", value };
  if (typeof value === "number") return { type: "double", value };
  if (typeof value === "string") return { type: "string", value };
  if (Array.isArray(value)) return { type: "list", values: value.map(fromOurs) };
  if (value instanceof OurDuration) {
    return { type: "duration", seconds: value.nanos / NANOS, nanos: Number(value.nanos % NANOS) };
  }
  if (value instanceof Timestamp) {
    const nanos = ((value.nanos % NANOS) + NANOS) % NANOS;
    return { type: "timestamp", seconds: (value.nanos - nanos) / NANOS, nanos: Number(nanos) };
  }
  if (value instanceof Map) {
    return { type: "map", entries: [...value].map(([key, held]) => [fromOurs(key), fromOurs(held)]) };
  }
  return { type: "other", name: "object" };
}
