# A backend in Perl, with IO::FDPass.  It answers every client with one line:
#
#	perl backend.pl /tmp/app.sock
#	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
use strict;
use warnings;
use IO::FDPass;
use IO::Handle;
use IO::Socket::UNIX;

$SIG{PIPE} = 'IGNORE';
unlink $ARGV[0];
my $listener = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 128)
    or die "$ARGV[0]: $!\n";
while () {
    my $conn = $listener->accept or next;
    my $fd = IO::FDPass::recv(fileno $conn);
    close $conn;
    next if !defined $fd || $fd < 0;    # a probe, or no descriptor was free
    open my $client, '+<&=', $fd or next;
    syswrite $client, "Hello from Perl.\n";     # the body alone
    shutdown $client, 1;                        # its end
    my $last = time + 4;
    while (time < $last) {                      # what nobody has read
        vec(my $set = '', $fd, 1) = 1;
        last if !select($set, undef, undef, 2) ||
            !sysread $client, my $unread, 4096;
    }
    close $client;
}
