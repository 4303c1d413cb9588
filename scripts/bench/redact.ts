/**
 * How fast payloads are redacted, beside JSON.parse + change + JSON.stringify on the same bytes (which is not even lossless).
 *
 * Small: an order of about 300 bytes, an e-mail address masked but for its domain, a telephone number removed. Large: GitHub's
 * webhook examples of about 10 kB, a login masked, two members removed. Runs of both take turns, short ones, so that other work on
 * the machine slows both; the median of their ratios counts.
 *
 *   bun scripts/bench/redact.ts [--json] [--runs 101]
 */
import { parseArgs } from "node:util";
import type { Redaction } from "../../src/model/schema/policy.ts";
import { compileRedactor } from "../../src/policy/redact/mod.ts";
import { orders, takeTurns, webhooks } from "./payloads.ts";

const { values } = parseArgs({
  options: { json: { type: "boolean", default: false }, runs: { type: "string", default: "101" } },
});
const runs = Number(values.runs);

interface Bench {
  readonly payloads: readonly Uint8Array[];
  /** Payloads of one run. */
  readonly count: number;
  readonly redactions: readonly Redaction[];
  readonly change: (value: never) => void;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const sum = (lengths: readonly number[]) => lengths.reduce((all, one) => all + one, 0);

const small: Bench = {
  payloads: orders(),
  count: 10_000,
  redactions: [
    { path: "$.customer.email", with: "mask", keep: "domain" },
    { path: "$.customer.phone", with: "remove" },
  ],
  change: (value: { customer: { email: string; phone?: string } }) => {
    value.customer.email = `***${value.customer.email.slice(value.customer.email.indexOf("@"))}`;
    delete value.customer.phone;
  },
};

const large: Bench = {
  payloads: webhooks(),
  count: 500,
  redactions: [
    { path: "$.sender.login", with: "mask" },
    { path: "$.sender.avatar_url", with: "remove" },
    { path: "$.repository.owner.url", with: "remove" },
  ],
  change: (value: {
    sender: { login: string; avatar_url?: string };
    repository: { owner: { url?: string } };
  }) => {
    value.sender.login = "***";
    delete value.sender.avatar_url;
    delete value.repository.owner.url;
  },
};

function measure(name: string, bench: Bench): { ratio: number; oursNs: number; jsonNs: number } {
  const redactor = compileRedactor(bench.redactions);
  const ours = (data: Uint8Array): Uint8Array => {
    const result = redactor.apply(data);
    if (result.type === "failed" || result.count !== bench.redactions.length) throw new Error("Not redacted");
    return result.data;
  };
  const json = (data: Uint8Array): Uint8Array => {
    const value: unknown = JSON.parse(decoder.decode(data));
    bench.change(value as never);
    return encoder.encode(JSON.stringify(value));
  };
  for (const data of bench.payloads) {
    // Ours keeps numbers as they are written (12.50), so both are compared as read.
    const same = JSON.stringify(JSON.parse(decoder.decode(ours(data)))) === decoder.decode(json(data));
    if (!same) throw new Error(`${name}: results differ`);
  }
  const { ratio, oursNs, baselineNs } = takeTurns(
    { ...bench, runs },
    (data) => ours(data).length,
    (data) => json(data).length,
  );
  const result = { ratio, oursNs, jsonNs: baselineNs };
  if (!values.json) {
    const size = Math.round(sum(bench.payloads.map((one) => one.length)) / bench.payloads.length);
    console.log(`${name}: ${bench.payloads.length} payloads of ${size} bytes on average`);
    console.log(`  ours ${result.oursNs} ns, JSON ${result.jsonNs} ns: ${result.ratio} times as fast`);
  }
  return result;
}

const result = { small: measure("small", small), large: measure("large", large) };
console.log(JSON.stringify(result));
