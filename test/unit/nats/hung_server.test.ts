import { afterEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HungServerWatch } from "../../../src/nats/hung_server.ts";
import { startTime } from "../../../src/nats/processes.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { waitFor } from "../../support/wait_for.ts";

/** What stands for the server ends by SIGQUIT, as nats-server does; `deaf` ends by SIGKILL alone. */
const PROGRAMS = {
  server: "while :; do sleep 1; done",
  deaf: "trap '' QUIT; while :; do sleep 1; done",
} as const;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

async function watched(program: keyof typeof PROGRAMS) {
  const folder = await tempFolder();
  const start = async () => {
    const child = spawn("sh", ["-c", PROGRAMS[program]], { stdio: "ignore" });
    children.push(child);
    const { pid = 0 } = child;
    await writeFile(join(folder.path, "serverPid"), `${pid} ${await startTime(pid)}\n`);
    return child;
  };
  const child = await start();
  const state = { answers: true, asked: 0 };
  const said: string[] = [];
  const watch = new HungServerWatch({
    folder: { file: (name) => join(folder.path, name) },
    ask: async () => {
      state.asked++;
      if (!state.answers) throw new Error("silence");
    },
    afterMs: 100,
    everyMs: 10,
    log: (_level, message) => void said.push(message),
  });
  const looks = async (count: number) => {
    const to = state.asked + count;
    await waitFor(() => state.asked >= to, { what: `${count} looks` });
  };
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  return {
    child,
    state,
    said,
    looks,
    ended,
    start,
    [Symbol.asyncDispose]: async () => {
      watch[Symbol.dispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

test("a server that answered, and is silent for longer than it may be, is ended and told where it stood", async () => {
  await using one = await watched("server");
  await one.looks(20);
  expect(one.ended()).toBe(false);
  one.state.answers = false;
  await waitFor(() => one.ended(), { what: "the end" });
  expect(one.child.signalCode).toBe("SIGQUIT");
  expect(one.said).toEqual([
    expect.stringMatching(
      new RegExp(
        `^nats-server \\(process ${one.child.pid}\\) runs and has not answered for 0 s: .*serverOutput\\.1$`,
      ),
    ),
  ]);
});

test("a server that does not end by SIGQUIT is killed", async () => {
  await using one = await watched("deaf");
  await one.looks(1);
  one.state.answers = false;
  await waitFor(() => one.ended(), { what: "the end", deadlineMs: 25_000 });
  expect(one.child.signalCode).toBe("SIGKILL");
}, 30_000);

test("a server that has not answered yet is not ended, and neither is the one that comes after", async () => {
  await using one = await watched("server");
  one.state.answers = false;
  await one.looks(1);
  const next = await one.start();
  await one.looks(40);
  expect([one.ended(), next.signalCode]).toEqual([false, null]);
});

test("an answer now and then is enough", async () => {
  await using one = await watched("server");
  for (let i = 0; i < 6; i++) {
    one.state.answers = true;
    await one.looks(2);
    one.state.answers = false;
    await one.looks(2);
  }
  expect(one.ended()).toBe(false);
});

test("a process that is stopped is left alone, and its time begins anew when it goes on", async () => {
  await using one = await watched("server");
  await one.looks(1);
  one.child.kill("SIGSTOP");
  one.state.answers = false;
  await one.looks(40);
  expect([one.ended(), one.said]).toEqual([false, []]);
  one.child.kill("SIGCONT");
  await waitFor(() => one.ended(), { what: "the end" });
  expect(one.said).toHaveLength(1);
});
