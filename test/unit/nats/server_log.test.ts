import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createSigningKey } from "../../../src/nats/keys.ts";
import {
  followServerLog,
  parseServerLogLine,
  readPastLog,
  redactSeeds,
  type ServerLogLine,
} from "../../../src/nats/server_log.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { waitFor } from "../../support/wait_for.ts";

let temp: TempFolder;
let stop: AbortController;

beforeEach(async () => {
  temp = await tempFolder();
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  await temp[Symbol.asyncDispose]();
});

const line = (text: string, level = "INF") => `[7] 2026/11/21 22:49:00.123456 [${level}] ${text}\n`;

describe("parseServerLogLine()", () => {
  test("splits level and words, and takes what it does not know as info", () => {
    const levels = ["TRC", "DBG", "INF", "WRN", "ERR", "FTL"].map(
      (level) => parseServerLogLine(line("some words", level).trim()).level,
    );
    expect(levels).toEqual(["debug", "debug", "info", "warn", "error", "error"]);
    expect(parseServerLogLine(line("some words", "WRN").trim())).toEqual({
      level: "warn",
      message: "some words",
    });
    expect(parseServerLogLine("panic: oh")).toEqual({ level: "info", message: "panic: oh" });
  });
});

describe("redactSeeds()", () => {
  test("blots out seeds and leaves public keys", () => {
    const key = createSigningKey();
    const seed = new TextDecoder().decode(key.seed());
    // A public key that looks like a seed from its second letter on.
    const lookalike = `U${seed.slice(0, 55)}`;
    expect(redactSeeds(`a "${seed}" b ${key.publicKey} ${lookalike}`)).toBe(
      `a "[REDACTED]" b ${key.publicKey} ${lookalike}`,
    );
  });
});

describe("followServerLog()", () => {
  const follow = (path: string, from: number | "end") => {
    const lines: ServerLogLine[] = [];
    const ended = followServerLog(path, from, (found) => void lines.push(found), stop.signal);
    return { lines, ended, messages: () => lines.map((found) => found.message) };
  };

  test("waits for the file, joins halves of lines and goes on across rotation", async () => {
    const path = join(temp.path, "nats.log");
    const { messages, ended } = follow(path, 0);
    await writeFile(path, line("one") + line("two").slice(0, 20));
    await waitFor(() => messages().length === 1);
    await appendFile(path, line("two").slice(20));
    await waitFor(() => messages().length === 2);
    await appendFile(path, line("three"));
    await rename(path, `${path}.1`);
    await writeFile(path, line("four", "ERR"));
    await waitFor(() => messages().length === 4);
    expect(messages()).toEqual(["one", "two", "three", "four"]);
    stop.abort();
    await ended;
  });

  test("from the end passes over what is there, and always over the banner", async () => {
    const path = join(temp.path, "nats.log");
    await writeFile(path, line("old"));
    const { messages } = follow(path, "end");
    await waitFor(async () => {
      await appendFile(path, line(" _|_ \\__/ ") + line("") + line("new"));
      return messages().length > 0;
    });
    expect(new Set(messages())).toEqual(new Set(["new"]));
  });
});

describe("readPastLog()", () => {
  test("reads what this process has written, and ends where a line begins that is not whole yet", async () => {
    const path = join(temp.path, "nats.log");
    const whole = line("before").replace("[7]", "[6]") + line("one") + line("zwölf");
    await writeFile(path, whole + line("half").slice(0, 20));
    const messages: string[] = [];
    const end = await readPastLog(path, 7, ({ message }) => messages.push(message));
    expect(messages).toEqual(["one", "zwölf"]);
    expect(end).toBe(Buffer.byteLength(whole));
    expect(await readPastLog(join(temp.path, "none.log"), 7, () => {})).toBe(0);
  });
});
