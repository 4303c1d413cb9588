import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Audit } from "../../../src/control/audit/audit.ts";
import { Denials } from "../../../src/control/audit/denials.ts";
import { AuditTrail, type TrailOptions } from "../../../src/control/audit/trail.ts";
import { type AuditEntry, type AuditRecord, verifyTrail } from "../../../src/model/audit.ts";
import { AUDIT_STREAM } from "../../../src/model/names.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { waitFor } from "../../support/wait_for.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const KEY = createSigningKey();
const ENTRY: AuditEntry = { type: "event", who: null, from: null, operation: "test", target: "thing" };

interface World extends AsyncDisposable {
  readonly server: TestJetStream;
  readonly options: TrailOptions;
  readonly logged: string[];
}

async function world(): Promise<World> {
  const server = await startJetStream();
  const folder: TempFolder = await tempFolder();
  const logged: string[] = [];
  const options: TrailOptions = {
    site: "berlin",
    js: server.js,
    jsm: server.jsm,
    key: () => KEY,
    dataFolder: folder.path,
    maxAgeMs: 24 * 3_600_000,
    maxBytes: 1024 ** 2,
    now: () => new Date(),
    log: (level, message) => void logged.push(`${level} ${message}`),
  };
  return {
    server,
    options,
    logged,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function exported(audit: Audit): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of audit.export({})) lines.push(line);
  return lines;
}

const verified = (lines: readonly string[]) => verifyTrail(lines, { keys: [KEY.publicKey] });

describe("AuditTrail", () => {
  test("chains what two writers add at once, each record once", async () => {
    await using it = await world();
    await using left = await AuditTrail.open(it.options);
    await using other = await tempFolder();
    await using right = await AuditTrail.open({ ...it.options, dataFolder: other.path });
    await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        (i % 2 === 0 ? left : right).append({ ...ENTRY, target: `thing ${i}` }),
      ),
    );
    await using audit = await Audit.open(it.options);
    const lines = await exported(audit);
    expect(verified(lines)).toMatchObject({ ok: true, records: 40 });
    const targets = lines.map((line) => (JSON.parse(line) as AuditRecord).target);
    expect(new Set(targets).size).toBe(40);
  });

  test("goes on after a restart, and after retention has dropped all of it", async () => {
    await using it = await world();
    {
      await using trail = await AuditTrail.open(it.options);
      for (let i = 0; i < 3; i++) await trail.append(ENTRY);
    }
    {
      await using trail = await AuditTrail.open(it.options);
      expect((await trail.append(ENTRY)).seq).toBe(4);
      expect(verified(await trail.read(0, 10))).toMatchObject({ ok: true, records: 4 });
    }
    // As max_age does: the stream is empty and keeps its last sequence.
    const { config } = await it.server.jsm.streams.info(AUDIT_STREAM);
    await it.server.jsm.streams.update(AUDIT_STREAM, { ...config, max_msgs: 1 });
    await using trail = await AuditTrail.open(it.options);
    await trail.append(ENTRY);
    const rest = await trail.read(0, 10);
    expect(verified(rest)).toMatchObject({ ok: true, first: { seq: 5 } });
    expect(it.logged).toEqual([]);
  });

  test("may not be purged, and no record deleted, by whoever speaks as the sidecar", async () => {
    await using it = await world();
    await using trail = await AuditTrail.open(it.options);
    await trail.append(ENTRY);
    const { jsm } = it.server;
    expect(jsm.streams.purge(AUDIT_STREAM)).rejects.toThrow();
    expect(jsm.streams.deleteMessage(AUDIT_STREAM, 1)).rejects.toThrow();
    const { config } = await jsm.streams.info(AUDIT_STREAM);
    expect(
      jsm.streams.update(AUDIT_STREAM, { ...config, deny_delete: false, deny_purge: false }),
    ).rejects.toThrow();
    expect((await jsm.streams.info(AUDIT_STREAM)).state.messages).toBe(1);
  });

  test("says at the next start that its end was cut off, and verifying says it ever after", async () => {
    await using it = await world();
    {
      await using trail = await AuditTrail.open(it.options);
      for (let i = 0; i < 5; i++) await trail.append(ENTRY);
    }
    // Somebody who may do all makes the stream anew with the first three records.
    const { jsm, js } = it.server;
    await using reader = await AuditTrail.open(it.options);
    const kept = (await reader.read(0, 10)).slice(0, 3);
    const { config } = await jsm.streams.info(AUDIT_STREAM);
    await jsm.streams.delete(AUDIT_STREAM);
    await jsm.streams.add(config);
    for (const text of kept) await js.publish("AUDIT.record", text);
    await using audit = await Audit.open(it.options);
    expect(it.logged.join()).toContain("it was cut");
    await audit.event("more", "thing");
    const lines = await exported(audit);
    expect(verified(lines).broken).toMatchObject({ line: 4, what: "records 4 to 5 before it are missing" });
    expect(JSON.parse(lines[3] ?? "")).toMatchObject({ operation: "audit.cut", seq: 6, before: { seq: 5 } });
  });

  test("says at the next start that it was made anew from the beginning", async () => {
    await using it = await world();
    {
      await using trail = await AuditTrail.open(it.options);
      await trail.append(ENTRY);
    }
    await it.server.jsm.streams.delete(AUDIT_STREAM);
    await using audit = await Audit.open(it.options);
    expect((await exported(audit)).map((line) => (JSON.parse(line) as AuditRecord).operation)).toEqual([
      "audit.cut",
    ]);
  });

  test("hides secrets, and tells what is too large by its hash", async () => {
    await using it = await world();
    await using trail = await AuditTrail.open(it.options);
    const record = await trail.append({
      ...ENTRY,
      asked: { password: "hunter22", list: "x".repeat(20_000) },
      before: { password: "hunter22" },
      result: `failed with ${new TextDecoder().decode(KEY.seed())}`,
    });
    expect(record.asked).toMatchObject({ omitted: "too large" });
    expect(record.before).toEqual({ password: "<hidden>" });
    expect(record.result).toBe("failed with <seed>");
  });
});

describe("Audit", () => {
  test("tells a change before it is made and how it ended; refuses it when it cannot be told", async () => {
    await using it = await world();
    await using audit = await Audit.open(it.options);
    const made: string[] = [];
    const write = (name: string) =>
      audit.change(
        { operation: "PUT", target: name, by: { who: { type: "peer", name: "austin" }, from: "x" } },
        () =>
          audit.document(
            `tenant ${name}`,
            { before: null, after: { name } },
            async () => void made.push(name),
          ),
      );
    await write("acme");
    const failing = audit.change({ operation: "DELETE", target: "acme" }, async () => {
      throw new Error("disk on fire");
    });
    expect(failing).rejects.toThrow("disk on fire");
    await failing.catch(() => undefined);
    const { jsm } = it.server;
    const { config } = await jsm.streams.info(AUDIT_STREAM);
    await jsm.streams.update(AUDIT_STREAM, { ...config, subjects: ["AUDIT.elsewhere"] });
    const refused = await write("globex").then(
      () => null,
      (error: { code: string }) => error.code,
    );
    expect(refused).toBe("audit_unavailable");
    await jsm.streams.update(AUDIT_STREAM, config);
    await write("initech");
    expect(made).toEqual(["acme", "initech"]);
    const records = (await exported(audit)).map((line) => JSON.parse(line) as AuditRecord);
    expect(records.map(({ type, target, of, result }) => [type, target, of ?? null, result ?? null])).toEqual(
      [
        ["intent", "acme", null, null],
        ["change", "tenant acme", 1, null],
        ["result", "acme", 1, "ok"],
        ["intent", "acme", null, null],
        ["result", "acme", 4, "failed: disk on fire"],
        ["intent", "initech", null, null],
        ["change", "tenant initech", 6, null],
        ["result", "initech", 6, "ok"],
      ],
    );
    expect(records[1]?.who).toEqual({ type: "peer", name: "austin" });
    expect(records[3]?.who).toEqual({ type: "sidecar", name: "berlin" });
  });

  test("says after a restart of an intent without an end that nobody knows it", async () => {
    await using it = await world();
    {
      await using trail = await AuditTrail.open(it.options);
      await trail.append({ ...ENTRY, type: "intent", operation: "PUT" });
      await trail.append({ ...ENTRY, type: "intent", operation: "DELETE" });
      await trail.append({ ...ENTRY, type: "result", of: 2, operation: "DELETE", result: "ok" });
    }
    {
      await using audit = await Audit.open(it.options);
      const last = JSON.parse((await exported(audit)).at(-1) ?? "") as AuditRecord;
      expect(last).toMatchObject({ type: "result", of: 1, operation: "PUT" });
      expect(last.result).toStartWith("interrupted");
    }
    await using audit = await Audit.open(it.options);
    expect(audit.head.seq).toBe(4);
  });

  test("lists by time, who, target and type, page by page", async () => {
    await using it = await world();
    await using audit = await Audit.open(it.options);
    for (let i = 0; i < 6; i++) {
      await audit.as({ type: "peer", name: i % 2 === 0 ? "austin" : "tokyo" }, null, () =>
        audit.event("test", `thing ${i}`),
      );
    }
    const seqs = async (query: Partial<Parameters<Audit["list"]>[0]>) => {
      const { records, next } = await audit.list({ after: 0, limit: 100, ...query });
      return [records.map(({ seq }) => seq), next];
    };
    expect(await seqs({ who: "tokyo" })).toEqual([[2, 4, 6], null]);
    expect(await seqs({ target: "thing 3" })).toEqual([[4], null]);
    expect(await seqs({ type: "denial" })).toEqual([[], null]);
    expect(await seqs({ limit: 2 })).toEqual([[1, 2], 2]);
    expect(await seqs({ after: 4, limit: 2 })).toEqual([[5, 6], 6]);
    expect(await seqs({ sinceMs: Date.now() + 60_000 })).toEqual([[], null]);
    expect(await seqs({ sinceMs: Date.now() - 600_000, untilMs: Date.now() - 60_000 })).toEqual([[], null]);
  });
});

describe("a change that cuts", () => {
  test("is made where the trail cannot be written, and is told in the log", async () => {
    await using it = await world();
    await using audit = await Audit.open(it.options);
    const cut = { operation: "POST", target: "/v1/peers/tokyo/revoke", cuts: true } as const;
    const document = (work: () => Promise<string>) =>
      audit.document("revocation U", { before: null, after: {} }, work);
    expect(await audit.change(cut, () => document(async () => "cut"))).toBe("cut");
    await waitFor(() => audit.head.seq === 3, { what: "its records" });
    const lines = (await exported(audit)).map((line) => JSON.parse(line) as AuditRecord);
    expect(lines.map(({ type, of }) => [type, of])).toEqual([
      ["intent", undefined],
      ["change", 1],
      ["result", 1],
    ]);

    await it.server.jsm.streams.delete(AUDIT_STREAM);
    const writes = { operation: "PUT", target: "/v1/tenants/acme" };
    await expect(audit.change(writes, async () => "changed")).rejects.toMatchObject({
      code: "audit_unavailable",
    });
    expect(await audit.change(cut, () => document(async () => "cut again"))).toBe("cut again");
    await waitFor(() => audit.numbers().untoldResults === 3, {
      what: "what is not told",
      deadlineMs: 60_000,
    });
    expect(it.logged.join("\n")).toContain("The intent of POST /v1/peers/tokyo/revoke is not told");
  }, 90_000);
});

describe("Denials", () => {
  const DENIAL = {
    who: null,
    from: "10.0.0.1",
    operation: "GET",
    target: "/v1/site",
    result: "unauthorized",
  };

  test("tell a few one by one, and a flood as counts of each kind", async () => {
    const told: AuditEntry[] = [];
    const denials = new Denials({
      append: async (entry) => void told.push(entry),
      single: 2,
      kinds: 3,
      windowMs: 60_000,
    });
    for (let i = 0; i < 10_000; i++) denials.note({ ...DENIAL, from: `10.0.0.${i % 5}` });
    await denials[Symbol.asyncDispose]();
    expect(told.map(({ from, count }) => [from, count])).toEqual([
      ["10.0.0.0", 1],
      ["10.0.0.1", 1],
      ["10.0.0.2", 2000],
      ["10.0.0.3", 2000],
      ["10.0.0.4", 2000],
      [null, 3998],
    ]);
    expect(told.reduce((sum, { count = 0 }) => sum + count, 0)).toBe(denials.total);
    expect(denials.dropped).toBe(0);
  });

  test("tell what was counted when the window ends", async () => {
    const told: AuditEntry[] = [];
    await using denials = new Denials({
      append: async (entry) => void told.push(entry),
      single: 0,
      windowMs: 5,
    });
    denials.note(DENIAL);
    denials.note(DENIAL);
    await waitFor(async () => told.length > 0, { what: "the count" });
    expect(told[0]).toMatchObject({ count: 2, target: "*" });
  });

  test("are told for longer and longer times while there are too many", async () => {
    const told: AuditEntry[] = [];
    const denials = new Denials({ append: async (entry) => void told.push(entry), single: 1, windowMs: 20 });
    const started = performance.now();
    while (performance.now() - started < 1000) {
      denials.note(DENIAL);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await denials[Symbol.asyncDispose]();
    // A window of 20 ms each would make 100 records.
    expect(told.length).toBeLessThan(40);
    expect(told.reduce((sum, { count = 0 }) => sum + count, 0)).toBe(denials.total);
  });

  test("count what cannot be written, and never throw", async () => {
    const denials = new Denials({
      append: () => Promise.reject(new Error("no")),
      single: 3,
      windowMs: 60_000,
    });
    for (let i = 0; i < 8; i++) denials.note(DENIAL);
    await denials[Symbol.asyncDispose]();
    expect(denials.dropped).toBe(8);
  });
});

test("the head that was noted is of the last record", async () => {
  await using it = await world();
  {
    await using trail = await AuditTrail.open(it.options);
    for (let i = 0; i < 4; i++) await trail.append(ENTRY);
  }
  const file = join(it.options.dataFolder, "audit.head");
  expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ seq: 4 });
  // A note that cannot be read is none.
  await writeFile(file, "{");
  await using trail = await AuditTrail.open(it.options);
  expect(trail.head.seq).toBe(4);
});
