import { describe, expect, test } from "bun:test";
import { JetStreamApiError, JetStreamError } from "@nats-io/jetstream";
import {
  isGone,
  isMessageNotFound,
  isStreamNotFound,
  unlessGone,
} from "../../../src/nats/jetstream_errors.ts";

/** What the client makes of the status of a direct read; it does not export it. */
const status = (description: string, code: number) =>
  Object.assign(new JetStreamError(description), { code });
const api = (err_code: number, description: string, code = 404) =>
  new JetStreamApiError({ code, err_code, description });

describe("what is not there", () => {
  test("streams and consumers", () => {
    expect(isStreamNotFound(api(10059, "stream not found"))).toBe(true);
    expect(isGone(api(10059, "stream not found"))).toBe(true);
    expect(isGone(api(10014, "consumer not found"))).toBe(true);
    expect(isGone(api(10037, "no message found"))).toBe(false);
  });

  test.each<[string, Error]>([
    ["a read", api(10037, "no message found")],
    ["a direct read", status("Message Not Found", 404)],
    ["a delete", api(10043, "sequence 7 not found", 400)],
    ["a delete of what the store does not have", api(10057, "no message found", 500)],
    ["a delete behind the end", api(10057, "stream store EOF", 500)],
  ])("messages: %s", async (_, error) => {
    expect(isMessageNotFound(error)).toBe(true);
    expect(await unlessGone(Promise.reject(error), "nothing")).toBe("nothing");
  });
});

test.each<[string, Error]>([
  ["a delete that is not allowed", api(10057, "message delete not permitted", 500)],
  ["a delete that the disk refused", api(10057, "file not found: 3.blk: input/output error", 500)],
  ["another status", status("Bad Request", 400)],
  ["what only sounds like it", new Error("no message found")],
])("%s is a failure", async (_, error) => {
  expect(isMessageNotFound(error)).toBe(false);
  await expect(unlessGone(Promise.reject(error), "nothing")).rejects.toBe(error);
});
