//! The session: one future that moves the node, takes requests, and hands out answers and events.
//!
//! It names no executor and spawns nothing. Whoever polls it runs the peer: see `main.rs`.

use std::{future::poll_fn, pin::pin, time::Duration};

use async_io::Timer;
use futures::{
    FutureExt, StreamExt,
    channel::mpsc,
    future::{self, BoxFuture, Either, pending},
    select,
    stream::FuturesUnordered,
};
use peerage::{Error, Event, Handle, NetworkName, Node, PeerId, Result};
use serde_json::Value;

use crate::{
    data::Found,
    input::Line,
    json,
    ops::{Answer, Request},
    output::{Closed, Output},
    prompt,
};

/// Requests under way at once. When as many are, the next line is read when one of them is answered.
const IN_FLIGHT: usize = 64;

/// How long a node that was told to leave by a signal waits for a reader that does not read its last lines.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a line of input means.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    Asked { id: Value, request: Request },
    Refused { id: Value, error: Error },
    Help,
}

/// The form in which questions come and answers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A JSON object a line.
    Json,
    /// Commands and readable lines.
    Words,
    /// The same on a terminal, with a prompt.
    Prompt,
}

impl Form {
    pub(crate) fn parse(self, line: Line) -> Option<Input> {
        match self {
            Self::Json => json::parse(line),
            Self::Words | Self::Prompt => prompt::parse(line),
        }
    }

    /// The first line: who this is, and what of an earlier life was found.
    pub(crate) fn started(
        self,
        peer: PeerId,
        network: &NetworkName,
        data: Option<&Found>,
    ) -> String {
        match self {
            Self::Json => json::started(peer, network, data),
            Self::Words | Self::Prompt => self.above_prompt(prompt::started(peer, network, data)),
        }
    }

    fn event(self, event: &Event) -> String {
        match self {
            Self::Json => json::event(event),
            Self::Words | Self::Prompt => self.above_prompt(prompt::event(event)),
        }
    }

    fn answer(self, id: &Value, answer: &Result<Answer>) -> String {
        match self {
            Self::Json => json::answer(id, answer),
            Self::Words | Self::Prompt => self.above_prompt(prompt::answer(id, answer)),
        }
    }

    fn help(self) -> String {
        self.above_prompt(prompt::HELP.to_owned())
    }

    /// Leaves the terminal as it was found.
    fn ended(self) -> String {
        match self {
            Self::Prompt => "\r\x1b[K".to_owned(),
            Self::Json | Self::Words => String::new(),
        }
    }

    /// Wipes the prompt, prints, and prompts again.
    fn above_prompt(self, text: String) -> String {
        match self {
            Self::Prompt if !text.is_empty() => format!("\r\x1b[K{text}> "),
            Self::Prompt | Self::Json | Self::Words => text,
        }
    }
}

/// How far the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// The input has ended: what is under way is finished, and then the node is stopped.
    Finishing,
    /// The node has been told to stop.
    Stopping,
}

/// Runs a peer until it is told to stop, its input ends, nobody reads its output, or `leave` is ready: then what is
/// under way is not waited for, but answered by the node that it shuts down.
pub(crate) async fn drive(
    mut node: Node,
    handle: Handle,
    form: Form,
    mut input: mpsc::Receiver<Input>,
    mut output: Output,
    leave: impl Future<Output = ()>,
) {
    let leave = leave.shared();
    let mut told_to_leave = leave.clone().fuse();
    let mut asked = FuturesUnordered::<BoxFuture<'_, Option<String>>>::new();
    let mut stage = Stage::Serving;
    loop {
        if stage == Stage::Finishing && asked.is_empty() {
            stage = Stage::Stopping;
            asked.push(stop(&handle).boxed());
        }
        let takes_input = stage == Stage::Serving && asked.len() < IN_FLIGHT && output.has_room();
        let mut next_input =
            if takes_input { Either::Left(input.next()) } else { Either::Right(pending()) };
        select! {
            event = node.next() => match event {
                Some(event) => output.event(form.event(&event)),
                None => break,
            },
            answer = asked.select_next_some() => output.answer(answer.unwrap_or_default()),
            line = next_input => match line {
                Some(Input::Asked { id, request }) => {
                    asked.push(ask(&handle, form, id, request).boxed());
                }
                Some(Input::Refused { id, error }) => output.answer(form.answer(&id, &Err(error))),
                Some(Input::Help) => output.answer(form.help()),
                None => stage = Stage::Finishing,
            },
            written = poll_fn(|cx| output.poll_write(cx)).fuse() => {
                if written == Err(Closed) && stage != Stage::Stopping {
                    stage = Stage::Stopping;
                    asked.push(stop(&handle).boxed());
                }
            }
            () = told_to_leave => if stage != Stage::Stopping {
                stage = Stage::Stopping;
                asked.push(stop(&handle).boxed());
            },
        }
    }
    // Whoever still waits hears from the library that the node is gone.
    drop(node);
    while let Some(answer) = asked.next().await {
        output.answer(answer.unwrap_or_default());
    }
    output.answer(form.ended());
    let hurry = async {
        leave.await;
        Timer::after(LAST_WORDS).await;
    };
    if let Either::Right(_) = future::select(pin!(output.finish()), pin!(hurry)).await {
        tracing::warn!("standard output is not read: its last lines are lost");
    }
}

async fn ask(handle: &Handle, form: Form, id: Value, request: Request) -> Option<String> {
    let answer = request.ask(handle).await;
    Some(form.answer(&id, &answer))
}

async fn stop(handle: &Handle) -> Option<String> {
    if let Err(error) = handle.shutdown().await {
        tracing::debug!(%error, "the node had stopped already");
    }
    None
}
