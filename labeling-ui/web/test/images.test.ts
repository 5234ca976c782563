import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Images, type Picture } from "../src/queue/images.ts";

/** Whether pictures decode, and what the server answers where it is asked about one. */
let decodes = true;
let answer: () => Promise<Response> = () => Promise.reject(new TypeError("nobody there"));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal(
    "Image",
    class {
      src = "";
      naturalWidth = 48;
      naturalHeight = 48;
      decode() {
        return decodes ? Promise.resolve() : Promise.reject(new Error("no picture"));
      }
    },
  );
  vi.stubGlobal("fetch", () => answer());
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function held(): { images: Images; told: Picture[] } {
  const told: Picture[] = [];
  const images = new Images((picture) => told.push(picture));
  images.hold(["f"]);
  return { images, told };
}

it("tells of a picture once it is decoded", async () => {
  decodes = true;
  const { told } = held();
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual([{ faceId: "f", state: "ready", width: 48, height: 48 }]);
});

it("calls a picture broken where the server gives it and it is none", async () => {
  decodes = false;
  answer = () => Promise.resolve(new Response("no picture"));
  const { told } = held();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(told.map(({ state }) => state)).toEqual(["failed"]);
});

it("waits for a picture while the server is away", async () => {
  decodes = false;
  answer = () => Promise.reject(new TypeError("nobody there"));
  const { images, told } = held();
  await vi.advanceTimersByTimeAsync(9000);
  expect(told).toEqual([]);
  expect(images.get("f")?.state).toBe("loading");
  decodes = true;
  await vi.advanceTimersByTimeAsync(3000);
  expect(told.map(({ state }) => state)).toEqual(["ready"]);
});

it("asks no more for a picture that was let go of", async () => {
  decodes = false;
  const asked = vi.fn(() => Promise.reject(new TypeError("nobody there")));
  answer = asked;
  const { images } = held();
  await vi.advanceTimersByTimeAsync(100);
  images.hold([]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked).toHaveBeenCalledTimes(1);
});
