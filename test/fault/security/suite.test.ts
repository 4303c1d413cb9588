/** The suite itself: an attack that succeeds is found out, whatever it succeeds in. */
import { describe, expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { besiege, publishes } from "./attempt.ts";

const { judge, world } = besiege();

describe("judge()", () => {
  test("finds nothing wrong with what was denied", async () => {
    const problems = await judge().judge(async (attacker) => {
      const nc = await attacker.app("berlin", "acme");
      return await attacker.unanswered(nc, "$SYS.REQ.SERVER.PING.CONNZ");
    });
    expect(problems).toEqual([]);
  }, 60_000);

  test("finds nothing wrong with a right that the attempt declares", async () => {
    const problems = await judge().judge(
      async (attacker) => {
        const nc = await attacker.app("berlin", "acme");
        await jetstream(nc).publish("acme.mine", attacker.mark);
        return "acme may";
      },
      { allow: publishes("berlin", "acme") },
    );
    expect(problems).toEqual([]);
  }, 60_000);

  test("reports an answer, an event too many, a message heard, a stream changed", async () => {
    const mesh = await jetstreamManager(world().at("berlin").control.mesh);
    const answered = await judge().judge(async (attacker) => {
      const { control } = world().at("berlin");
      return await attacker.unanswered(control.mesh, "$JS.API.STREAM.NAMES");
    });
    expect(answered.join()).toContain("was answered");

    const stored = await judge().judge(async (attacker) => {
      const nc = await attacker.app("berlin", "globex");
      await jetstream(nc).publish("globex.mine", attacker.mark);
      return "supposed";
    });
    expect(stored.join("\n")).toMatch(/berlin\/MESH\/out_globex\/state/);
    expect(stored.join("\n")).toMatch(/berlin\/inbox\/globex/);
    expect(stored.join("\n")).toMatch(/austin\/MESH\/in_globex\/state/);
    expect(stored.join("\n")).toMatch(/marked\/MESH\/berlin\.globex\.mine/);

    const heard = await judge().judge(async (attacker) => {
      const nc = await attacker.app("berlin", "initech");
      nc.publish("anything", attacker.mark);
      await nc.flush();
      return "supposed";
    });
    expect(heard.join("\n")).toMatch(/^berlin\/inbox\/initech/);

    const changed = await judge().judge(async () => {
      await mesh.streams.purge("out_initech");
      return "supposed";
    });
    expect(changed.join("\n")).toMatch(/berlin\/MESH\/out_initech\/state/);

    const silent = await judge().judge(async () => "");
    expect(silent).toEqual(["the attempt does not say how it was denied"]);
  }, 60_000);

  test("reports what comes late", async () => {
    const nc = await world().at("berlin").site.app("initech");
    expect(await judge().leftBehind()).not.toEqual([]);
    await nc.close();
    judge().forget();
  }, 60_000);
});
