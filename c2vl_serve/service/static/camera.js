// The webcam: one clip after a countdown, or short clips one after another.

const COUNTDOWN = 3; // seconds to step back
const HEADER_BYTES = 1024; // more than a file without a picture has
const PART_MILLISECONDS = 200;
const FORMATS = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];
const WANTED = { video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } } };

/** The camera's stream, shown in `preview`. */
export async function openCamera(preview) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("Browsers lend a camera to pages over https or from localhost only.");
  }
  const stream = await navigator.mediaDevices.getUserMedia(WANTED).catch((error) => {
    throw new Error(reason(error));
  });
  preview.srcObject = stream;
  preview.hidden = false;
  return stream;
}

export function closeCamera(preview) {
  for (const track of preview.srcObject?.getTracks() ?? []) track.stop();
  preview.srcObject = null;
  preview.hidden = true;
}

/** Count down in an element; false where it was stopped meanwhile. */
export async function countDown(element, signal) {
  element.hidden = false;
  for (let left = COUNTDOWN; left > 0 && !signal.aborted; left -= 1) {
    element.textContent = String(left);
    await pause(1, signal);
  }
  element.hidden = true;
  return !signal.aborted;
}

/** A clip of so many seconds, or shorter where `signal` stops it; `onPicture` once it has some. */
export function record(stream, seconds, signal, onPicture = () => {}) {
  return new Promise((resolve, reject) => {
    const mimeType = FORMATS.find((format) => MediaRecorder.isTypeSupported(format));
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: 2_500_000 });
    const parts = [];
    const hasPicture = () => parts.reduce((sum, part) => sum + part.size, 0) > HEADER_BYTES;
    const stop = () => recorder.state !== "inactive" && recorder.stop();
    const timer = setTimeout(stop, 1000 * seconds);
    signal.addEventListener("abort", stop);
    recorder.ondataavailable = (event) => {
      parts.push(event.data);
      if (hasPicture()) onPicture();
    };
    recorder.onerror = (event) => reject(event.error);
    recorder.onstop = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      if (!hasPicture()) {
        reject(new Error("The camera gave no picture in that time; try again."));
        return;
      }
      const type = recorder.mimeType.split(";")[0];
      resolve(new File(parts, `webcam.${type.split("/")[1]}`, { type }));
    };
    recorder.start(PART_MILLISECONDS);
  });
}

/** Clips of so many seconds back to back until `signal`; each its own file, whole in itself. */
export async function recordOnAndOn(stream, seconds, signal, onClip) {
  while (!signal.aborted) {
    const clip = await record(stream, seconds, signal).catch((error) => {
      if (!signal.aborted) throw error;
    });
    if (!signal.aborted) onClip(clip);
  }
}

function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

function reason(error) {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use the camera.";
  if (error.name === "NotFoundError") return "No camera was found.";
  return `The camera cannot be used: ${error.message}.`;
}
