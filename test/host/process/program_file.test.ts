import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execPath } from "node:process";
import { describe, expect, test } from "vitest";
import { beginsAsProgram, isProgram } from "../../../src/host/process/program_file.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

/** Bytes as hexadecimal digits, filled up with zeros. */
function bytes(hex: string, length = 0): Uint8Array {
  const given = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return Buffer.concat([given, Buffer.alloc(Math.max(0, length - given.length))]);
}

function portableExecutable(signature: string): Uint8Array {
  const file = bytes("4d5a", 0x200);
  file.set(bytes("80000000"), 0x3c);
  file.set(bytes(signature), 0x80);
  return file;
}

describe("beginsAsProgram", () => {
  test.each([
    ["ELF", bytes("7f454c46 02010100", 64)],
    ["Mach-O, 64-bit", bytes("cffaedfe 0c000001", 64)],
    ["Mach-O, big-endian", bytes("feedface 00000012", 64)],
    ["universal Mach-O", bytes("cafebabe 00000002", 64)],
    ["PE", portableExecutable("50450000")],
    ["a script", Buffer.from("#!/bin/sh\n")],
    ["the shortest script", Buffer.from("#!")],
  ])("of %s is true", (_, start) => {
    expect(beginsAsProgram(start)).toBe(true);
  });

  test.each([
    ["nothing", bytes("")],
    [
      "text",
      Buffer.from("MZ is how this text begins, and it goes on for more than a header's length"),
    ],
    ["a program for DOS", portableExecutable("4e450000")],
    ["a class of Java", bytes("cafebabe 00000034", 64)],
    ["gzip", bytes("1f8b0800 00000000", 64)],
    ["zip", bytes("504b0304 14000000", 64)],
    ["half of a magic number", bytes("7f454c")],
    ["HTML", Buffer.from("<!DOCTYPE html><title>404</title>")],
    ["a comment", Buffer.from("# !/bin/sh")],
  ])("of %s is false", (_, start) => {
    expect(beginsAsProgram(start)).toBe(false);
  });
});

test("isProgram reads the file", async () => {
  const directory = await tempDirectory();
  await writeFile(join(directory, "empty"), "");
  expect(await isProgram(join(directory, "empty"))).toBe(false);
  expect(await isProgram(execPath)).toBe(true);
  await expect(isProgram(join(directory, "nothing"))).rejects.toMatchObject({ code: "not-found" });
});
