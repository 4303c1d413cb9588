import { describe, expect, test } from "bun:test";
import { newDelivery, readAckSubject } from "../../../src/flow/ack_subject.ts";

const read = (text: string) => {
  const delivery = newDelivery();
  return readAckSubject(new TextEncoder().encode(text), delivery) ? delivery : null;
};

describe("readAckSubject()", () => {
  const facts = { delivered: 2, streamSequence: 1001, consumerSequence: 7, timeMs: 1_790_000_000_123 };

  test("reads both forms of the subject", () => {
    expect(read("$JS.ACK.out_acme.view_eu.2.1001.7.1790000000123456789.12")).toEqual(facts);
    expect(read("$JS.ACK.tokyo.7SvdmDje.out_acme.view_eu.2.1001.7.1790000000123456789.12")).toEqual(facts);
  });

  test("refuses what is no acknowledgement subject", () => {
    for (const text of [
      "",
      "_INBOX.abc.1",
      "$JS.ACK.x",
      "$JS.ACK.out.view.a.1001.7.17900.12",
      "$JS.FC.a.b.2.1001.7.1.2",
    ])
      expect(read(text)).toBeNull();
  });
});
