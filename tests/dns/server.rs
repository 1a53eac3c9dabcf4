//! A DNS server on loopback, over UDP and TCP, that answers whatever a test wants it to.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use simple_dns::{
    CLASS, CharacterString, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE,
    rdata::{A, AAAA, CNAME, RData, TXT},
};

/// How often a thread of the server looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(20);

/// A question that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// In small letters, without a dot at its end.
    pub(crate) name: String,
    /// `A`, `AAAA` or `TXT`.
    pub(crate) kind: &'static str,
    pub(crate) over_tcp: bool,
}

/// A record of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Ip(IpAddr),
    Text(String),
    /// Raw bytes, in pieces.
    Pieces(Vec<Vec<u8>>),
    Alias(String),
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Records of the name that was asked for.
    Records(Vec<Data>),
    /// Records of these names.
    Of(Vec<(String, Data)>),
    NoSuchName,
    Refused,
    Silence,
    /// Over UDP that it does not fit, over TCP these.
    Long(Vec<Data>),
    /// First an answer that somebody else might have forged, in the way that it says, then the real one.
    After(Lie, Vec<Data>),
    /// These bytes, whatever they are. The identifier of the question is put in front.
    Junk(Vec<u8>),
}

/// How an answer is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lie {
    /// It is to another question, by its identifier.
    Identifier,
    /// It repeats another question than the one asked.
    Question,
}

/// Where forged answers lead.
pub(crate) const ASTRAY: Ipv4Addr = Ipv4Addr::new(127, 66, 66, 66);

type Zone = dyn Fn(&Asked) -> Reply + Send + Sync;

/// The server. It ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Answers by this.
    pub(crate) fn start(zone: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let ends = Arc::new(AtomicBool::new(false));
        let zone: Arc<Zone> = Arc::new(zone);
        let worker = |run: fn(&Worker, UdpSocket, TcpListener)| {
            let worker = Worker { zone: zone.clone(), asked: asked.clone(), ends: ends.clone() };
            let udp = udp.try_clone().expect("a socket");
            let tcp = tcp.try_clone().expect("a socket");
            thread::spawn(move || run(&worker, udp, tcp))
        };
        let threads = vec![
            worker(|worker, udp, _| worker.serve_udp(&udp)),
            worker(|worker, _, tcp| worker.serve_tcp(&tcp)),
        ];
        Self { address, asked, ends, threads }
    }

    /// The questions that have come.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("the list").clone()
    }

    /// How many of them were for this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.asked().iter().filter(|asked| asked.name == name).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Two sockets with the same port.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")) else { continue };
        udp.set_read_timeout(Some(LOOK_UP)).expect("a timeout");
        tcp.set_nonblocking(true).expect("a listener");
        return (udp, tcp);
    }
    panic!("no port is free for both");
}

struct Worker {
    zone: Arc<Zone>,
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
}

impl Worker {
    fn is_over(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buf = [0; 4096];
        while !self.is_over() {
            let Ok((len, from)) = socket.recv_from(&mut buf) else { continue };
            for answer in self.answers(&buf[..len], false) {
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        while !self.is_over() {
            match listener.accept() {
                Ok((stream, _)) => {
                    let _ = self.serve_stream(stream);
                }
                Err(_) => thread::sleep(LOOK_UP),
            }
        }
    }

    /// One question, or as many as come before the other end closes.
    fn serve_stream(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        loop {
            let mut len = [0; 2];
            stream.read_exact(&mut len)?;
            let mut question = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut question)?;
            for answer in self.answers(&question, true) {
                let len = u16::try_from(answer.len()).expect("a message that fits");
                stream.write_all(&[&len.to_be_bytes()[..], &answer].concat())?;
            }
        }
    }

    fn answers(&self, bytes: &[u8], over_tcp: bool) -> Vec<Vec<u8>> {
        let question = Packet::parse(bytes).expect("a question");
        let wanted = question.questions.first().expect("a question");
        let kind = match wanted.qtype {
            QTYPE::TYPE(TYPE::A) => "A",
            QTYPE::TYPE(TYPE::AAAA) => "AAAA",
            QTYPE::TYPE(TYPE::TXT) => "TXT",
            other => panic!("nobody asks for {other:?}"),
        };
        let name = wanted.qname.to_string().to_lowercase();
        let name = name.trim_end_matches('.').to_owned();
        let asked = Asked { name: name.clone(), kind, over_tcp };
        let reply = (self.zone)(&asked);
        self.asked.lock().expect("the list").push(asked);
        let own = |records: Vec<Data>| -> Vec<(String, Data)> {
            records.into_iter().map(|data| (name.clone(), data)).collect()
        };
        let of = |records| write(&question, kind, RCODE::NoError, records);
        match reply {
            Reply::Silence => Vec::new(),
            Reply::Records(records) => vec![of(own(records))],
            Reply::Of(records) => vec![of(records)],
            Reply::NoSuchName => vec![write(&question, kind, RCODE::NameError, Vec::new())],
            Reply::Refused => vec![write(&question, kind, RCODE::Refused, Vec::new())],
            Reply::Long(records) if over_tcp => vec![of(own(records))],
            Reply::Long(_) => {
                let mut short = Packet::parse(bytes).expect("a question").into_reply();
                short.set_flags(PacketFlag::TRUNCATION);
                vec![short.build_bytes_vec().expect("an answer")]
            }
            Reply::After(lie, records) => {
                vec![lie.tell(&question, kind), of(own(records))]
            }
            Reply::Junk(junk) => vec![[&bytes[..2], &junk].concat()],
        }
    }
}

impl Lie {
    fn tell(self, question: &Packet<'_>, kind: &str) -> Vec<u8> {
        let name = question.questions[0].qname.to_string();
        let astray = vec![(name, Data::Ip(ASTRAY.into()))];
        let mut forged = write(question, kind, RCODE::NoError, astray);
        match self {
            Self::Identifier => forged[1] ^= 0x55,
            // The first letter of the name, behind header and length.
            Self::Question => forged[13] = if forged[13] == b'z' { b'y' } else { b'z' },
        }
        forged
    }
}

/// An answer. Those of its records that are not of the kind asked for stay away, but for aliases.
fn write(question: &Packet<'_>, kind: &str, code: RCODE, records: Vec<(String, Data)>) -> Vec<u8> {
    let mut packet = Packet::new_reply(question.id());
    packet.set_flags(PacketFlag::RECURSION_AVAILABLE | PacketFlag::RECURSION_DESIRED);
    *packet.rcode_mut() = code;
    packet.questions.clone_from(&question.questions);
    for (name, data) in records {
        let data = match data {
            Data::Ip(IpAddr::V4(ip)) if kind == "A" => RData::A(A::from(ip)),
            Data::Ip(IpAddr::V6(ip)) if kind == "AAAA" => RData::AAAA(AAAA::from(ip)),
            Data::Text(text) if kind == "TXT" => {
                text_of(text.as_bytes().chunks(255).map(<[u8]>::to_vec))
            }
            Data::Pieces(pieces) if kind == "TXT" => text_of(pieces),
            Data::Alias(target) => RData::CNAME(CNAME(Name::new_unchecked(&target).into_owned())),
            Data::Ip(_) | Data::Text(_) | Data::Pieces(_) => continue,
        };
        let name = Name::new_unchecked(&name).into_owned();
        packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, data));
    }
    packet.build_bytes_vec_compressed().expect("an answer")
}

fn text_of(pieces: impl IntoIterator<Item = Vec<u8>>) -> RData<'static> {
    let mut text = TXT::new();
    for piece in pieces {
        text.add_char_string(CharacterString::new(&piece).expect("a piece").into_owned());
    }
    RData::TXT(text)
}
