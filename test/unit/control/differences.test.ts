import { describe, expect, test } from "bun:test";
import type { ConsumerConfig, StreamConfig, StreamSource } from "@nats-io/jetstream";
import type { ConsumerSpec, StreamSpec } from "../../../src/control/assets.ts";
import {
  consumerDifferences,
  filtersOfConsumer,
  sourceKey,
  streamDifferences,
} from "../../../src/control/differences.ts";

const stream = (more: object) => ({ name: "s", ...more }) as StreamSpec & StreamConfig;
const consumer = (more: object) => ({ durable_name: "c", ...more }) as ConsumerSpec & ConsumerConfig;
const source = (more: object = {}) =>
  ({
    name: "out_acme",
    external: { api: "mesh.austin.API", deliver: "" },
    consumer: { name: "berlin", deliver_subject: "mesh.austin.deliver.berlin.out_acme" },
    subject_transforms: [{ src: "*.*.>", dest: "austin.acme.>" }],
    ...more,
  }) as StreamSource;

describe("streamDifferences()", () => {
  test("finds none when the server adds fields of its own", () => {
    const observed = stream({ max_bytes: 5, max_msgs: -1, compression: "none" });
    expect(streamDifferences(stream({ max_bytes: 5 }), observed)).toEqual([]);
  });

  test("finds none when the server leaves out what is false, 0 or empty", () => {
    const wanted = stream({ allow_rollup_hdrs: false, duplicate_window: 0, description: "", sources: [] });
    expect(streamDifferences(wanted, stream({}))).toEqual([]);
  });

  test("names every field that differs, and one that is missing", () => {
    const wanted = stream({ max_bytes: 5, discard: "new", allow_direct: true, max_age: 7 });
    const observed = stream({ max_bytes: 6, discard: "old", max_age: 7 });
    expect(streamDifferences(wanted, observed)).toEqual(["max_bytes", "discard", "allow_direct"]);
  });

  test("names a field that is 0 and should not be, and the other way round", () => {
    expect(streamDifferences(stream({ duplicate_window: 5 }), stream({}))).toEqual(["duplicate_window"]);
    expect(streamDifferences(stream({ duplicate_window: 0 }), stream({ duplicate_window: 5 }))).toEqual([
      "duplicate_window",
    ]);
  });

  test("compares subjects as a set", () => {
    const wanted = stream({ subjects: ["a", "b"] });
    expect(streamDifferences(wanted, stream({ subjects: ["b", "a"] }))).toEqual([]);
    expect(streamDifferences(wanted, stream({ subjects: ["a"] }))).toEqual(["subjects"]);
    expect(streamDifferences(wanted, stream({}))).toEqual(["subjects"]);
  });

  test("takes metadata that the server adds, and misses ours", () => {
    const wanted = stream({ metadata: { "leafmesh-source": "out_acme" } });
    const added = { "leafmesh-source": "out_acme", "_nats.ver": "2.15.1" };
    expect(streamDifferences(wanted, stream({ metadata: added }))).toEqual([]);
    expect(streamDifferences(wanted, stream({ metadata: { "_nats.ver": "2.15.1" } }))).toEqual(["metadata"]);
    expect(streamDifferences(wanted, stream({}))).toEqual(["metadata"]);
    expect(streamDifferences(wanted, stream({ metadata: { "leafmesh-source": "x" } }))).toEqual(["metadata"]);
  });

  test("compares sources by identity: in any order, with what the server adds to them", () => {
    const other = source({ name: "view_acme_x" });
    const wanted = stream({ sources: [source(), other] });
    const observed = stream({
      sources: [{ ...other, opt_start_seq: 7 }, source({ external: { api: "mesh.austin.API" } })],
    });
    expect(streamDifferences(wanted, observed)).toEqual([]);
    expect(streamDifferences(wanted, stream({ sources: [source()] }))).toEqual(["sources"]);
    expect(streamDifferences(wanted, stream({ sources: [source(), source()] }))).toEqual(["sources"]);
  });

  test("tells sources apart by stream, site, consumer, deliver subject and transforms", () => {
    const changed = [
      { name: "out_globex" },
      { external: { api: "mesh.tokyo.API", deliver: "" } },
      { external: undefined },
      { consumer: { name: "other", deliver_subject: "mesh.austin.deliver.berlin.out_acme" } },
      { consumer: { name: "berlin", deliver_subject: "elsewhere" } },
      { consumer: undefined },
      { subject_transforms: [{ src: "*.*.>", dest: "tokyo.acme.>" }] },
      { subject_transforms: undefined },
    ];
    for (const change of changed) {
      const observed = stream({ sources: [source(change)] });
      expect([change, streamDifferences(stream({ sources: [source()] }), observed)]).toEqual([
        change,
        ["sources"],
      ]);
    }
    expect(new Set([{}, ...changed].map((change) => sourceKey(source(change)))).size).toBe(
      changed.length + 1,
    );
  });

  test("compares a mirror by identity", () => {
    const wanted = stream({ mirror: source() });
    expect(streamDifferences(wanted, stream({ mirror: source({ opt_start_seq: 3 }) }))).toEqual([]);
    expect(streamDifferences(wanted, stream({ mirror: source({ name: "view_acme_x" }) }))).toEqual([
      "mirror",
    ]);
    expect(streamDifferences(wanted, stream({}))).toEqual(["mirror"]);
  });

  test("compares where a stream republishes to", () => {
    const wanted = stream({ republish: { src: "*.acme.>", dest: "acme.>" } });
    const more = stream({ republish: { src: "*.acme.>", dest: "acme.>", headers_only: false } });
    expect(streamDifferences(wanted, more)).toEqual([]);
    expect(streamDifferences(wanted, stream({ republish: { src: "*.acme.>", dest: "x.>" } }))).toEqual([
      "republish",
    ]);
    expect(streamDifferences(wanted, stream({}))).toEqual(["republish"]);
  });
});

describe("consumerDifferences()", () => {
  test("finds none when one filter stands in filter_subject", () => {
    const wanted = consumer({ filter_subjects: ["berlin.acme.>"] });
    expect(consumerDifferences(wanted, consumer({ filter_subject: "berlin.acme.>" }))).toEqual([]);
    expect(consumerDifferences(wanted, consumer({ filter_subjects: ["berlin.acme.>"] }))).toEqual([]);
  });

  test("names the filter when it is wider, narrower, or gone", () => {
    const wanted = consumer({ filter_subjects: ["a", "b"] });
    for (const observed of [
      { filter_subject: "a" },
      { filter_subjects: ["a", "b", "c"] },
      { filter_subject: "" },
      {},
    ]) {
      expect(consumerDifferences(wanted, consumer(observed))).toEqual(["filter_subjects"]);
    }
    expect(consumerDifferences(wanted, consumer({ filter_subjects: ["b", "a"] }))).toEqual([]);
  });

  test("leaves alone where it begins and what the server adds", () => {
    const observed = consumer({ ack_policy: "all", opt_start_seq: 7, deliver_policy: "all", metadata: {} });
    expect(consumerDifferences(consumer({ ack_policy: "all" }), observed)).toEqual([]);
    expect(consumerDifferences(consumer({ ack_policy: "flow_control" }), observed)).toEqual(["ack_policy"]);
  });
});

describe("filtersOfConsumer()", () => {
  test("gives the filters wherever the server keeps them", () => {
    expect(filtersOfConsumer(consumer({ filter_subject: "a" }))).toEqual(["a"]);
    expect(filtersOfConsumer(consumer({ filter_subjects: ["a", "b"] }))).toEqual(["a", "b"]);
    expect(filtersOfConsumer(consumer({ filter_subjects: [], filter_subject: "a" }))).toEqual(["a"]);
    expect(filtersOfConsumer(consumer({ filter_subject: "" }))).toEqual([]);
  });
});
