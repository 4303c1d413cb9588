import { describe, expect, test } from "bun:test";
import { type QuotaSpec, Quotas } from "../../../src/flow/quota.ts";
import { QuotaGate } from "../../../src/flow/quota_gate.ts";
import { until } from "../../integration/flow_support.ts";

const RULE = { policy: "eu", index: 0, name: "one" };
const spec = (label: string, bytes: number): QuotaSpec => ({
  key: "one",
  label,
  messages: Number.POSITIVE_INFINITY,
  bytes,
  burstMs: 1000,
  drop: false,
});

function gate(bytes: number) {
  const quotas = new Quotas({ whole: null, rules: [spec("slow", bytes)] });
  const woken: number[] = [];
  const made = new QuotaGate({ quotas, wake: () => woken.push(performance.now()), onWaited: () => {} });
  return { quotas, gate: made, woken };
}

describe("the gate of the limits", () => {
  test("sleeps also when an event has used up the rate of months", async () => {
    const { gate: slow, woken } = gate(1 / 3600);
    expect(slow.admit(RULE, 8 * 1024 * 1024)).toBe("pass");
    expect(slow.admit(RULE, 1)).toBe("wait");
    const other = gate(50);
    expect(other.gate.admit(RULE, 50)).toBe("pass");
    expect(other.gate.admit(RULE, 1)).toBe("wait");
    await until(() => other.woken.length === 1, "one that waits for moments is woken");
    expect(woken).toEqual([]);
    slow.close();
    other.gate.close();
  });

  test("names the limit that is waited for now", () => {
    const { quotas, gate: slow } = gate(1);
    expect(slow.admit(RULE, 1000)).toBe("pass");
    expect(slow.admit(RULE, 1)).toBe("wait");
    expect(slow.deferral?.why).toBe("slow");
    quotas.change({ whole: null, rules: [spec("slower", 0.5)] });
    expect(slow.admit(RULE, 1)).toBe("wait");
    expect(slow.deferral?.why).toBe("slower");
    slow.close();
  });
});
