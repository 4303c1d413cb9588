import { expect, test } from "bun:test";
import { grows, isPaced, noSmaller } from "../../../src/control/paced.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";

const exported = (limit?: ExportPolicy["limit"]): ExportPolicy => ({
  name: "out",
  to: ["austin"],
  rules: [{ subjects: ["acme.>"] }],
  ...(limit === undefined ? {} : { limit }),
});
const PACED = { exports: [exported(), exported({ perPeer: "1MiB/s" })] };
const FREE = { exports: [exported(), exported({ messages: "5/s" })] };

test("a tenant is paced where one of its exports has a rate for each peer", () => {
  expect([isPaced(PACED), isPaced(FREE), isPaced({ exports: [] })]).toEqual([true, false, false]);
});

test("a stream whose peers have a rate takes no less than it did", () => {
  const spec = { name: "out_acme", max_msg_size: 1000 };
  expect(noSmaller(spec, PACED, { max_msg_size: 4000 }).max_msg_size).toBe(4000);
  expect(noSmaller(spec, PACED, { max_msg_size: 400 }).max_msg_size).toBe(1000);
  expect(noSmaller(spec, PACED, { max_msg_size: -1 }).max_msg_size).toBe(1000);
  expect(noSmaller(spec, FREE, { max_msg_size: 4000 })).toBe(spec);
  expect(noSmaller(spec, PACED, undefined)).toBe(spec);
});

test("a stream grows where it is to take more than it does", () => {
  const spec = { name: "out_acme", max_msg_size: 1000 };
  expect([{ max_msg_size: 999 }, { max_msg_size: 1000 }, undefined].map((one) => grows(spec, one))).toEqual([
    true,
    false,
    false,
  ]);
  expect(grows({ name: "in_acme" }, { max_msg_size: -1 })).toBe(false);
  // Which takes everything.
  expect(grows(spec, { max_msg_size: -1 })).toBe(false);
});
