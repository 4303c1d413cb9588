/** The demo as a newcomer runs it: three sites, each a process of its own, real payloads, every check on. */
import { expect, test } from "bun:test";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startTime } from "../../src/nats/processes.ts";
import { waitFor } from "../support/wait_for.ts";

const DEMO = fileURLToPath(new URL("../../scripts/demo.ts", import.meta.url));
const count = z.number().int();
const positive = count.positive();
const Report = z.object({
  ok: z.boolean(),
  problems: z.array(z.string()),
  published: positive,
  delivered: z.object({ berlin: positive, austin: positive, tokyo: positive }),
  denied: positive,
  kept: positive,
  redacted: positive,
  headersDropped: positive,
  quarantined: positive,
  duplicatesStopped: positive,
  leaks: count,
  echoes: count,
  reordered: count,
  altered: count,
  missing: count,
  latencyMs: z.object({ p50: z.number().positive(), p99: z.number().positive() }),
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function demo(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile("bun", [DEMO, ...args], (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

test("demo --once --json runs three sites and finds all as it should be", async () => {
  const { code, stdout, stderr } = await demo("--once", "--json");
  const lines = stdout.trim().split("\n");
  expect(lines, stderr).toHaveLength(1);
  const parsed: unknown = JSON.parse(lines[0] ?? "");
  expect(parsed).toMatchObject({ ok: true, problems: [] });
  const report = Report.parse(parsed);
  expect(report).toMatchObject({ leaks: 0, echoes: 0, reordered: 0, altered: 0, missing: 0 });
  expect(report.published).toBeGreaterThan(3 * 2 * 329);
  expect(code).toBe(0);
}, 90_000);

test("demo refuses arguments that it does not know, and says what it takes", async () => {
  const { code, stdout, stderr } = await demo("--twice");
  expect(code).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain("usage: scripts/demo");
});

test("demo leaves no process and no folder behind when it is interrupted", async () => {
  const child = spawn("bun", [DEMO], { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  let said = "";
  child.stdout.on("data", (bytes: Uint8Array) => {
    said += new TextDecoder().decode(bytes);
  });
  try {
    const found = await waitFor(() => /are in (\S+)[\s\S]*kill -9 (\d+)[\s\S]*Ctrl-C/.exec(said), {
      what: "the live demo",
      deadlineMs: 60_000,
    });
    const [, folder = "", pid = ""] = found;
    expect(existsSync(folder)).toBe(true);
    expect(await startTime(Number(pid))).not.toBeNull();
    child.kill("SIGINT");
    expect(await ended).toBe(0);
    expect(existsSync(folder)).toBe(false);
    expect(await startTime(Number(pid))).toBeNull();
  } finally {
    child.kill("SIGKILL");
  }
}, 90_000);
